"""A stranger in the network, run in a namespace: announces itself as the companion of a device, and answers by TLS.

ADDRESS AUTHORITY HOST: where it listens, which authority it claims, and for which host its certificate is. Prints a
line for each connection that came, and one for what was sent over it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tempfile
from pathlib import Path

from collabd.ctl.pair import certificates
from collabd.discovery.announcement import Announcement
from collabd.discovery.announcer import announced


def tls(address: str, host: str) -> ssl.SSLContext:
    """With a certificate of an authority of its own."""
    own = certificates.server(certificates.authority("pc"), "pc", [host, address])
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "crt"), Path(folder, "key")
        certificate.write_bytes(own.certificate)
        key.write_bytes(own.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    return context


async def main(address: str, authority: str, host: str) -> None:
    context = tls(address, host)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("connected", flush=True)
        try:
            await writer.start_tls(context)
            print("sent", len(await reader.read(1)), flush=True)
        except (OSError, ssl.SSLError):
            pass
        writer.transport.abort()

    said = Announcement(name="pc", addresses=(address,), port=8470, version="0.1.0", secured=True, authority=authority)
    async with await asyncio.start_server(answer, address, 8470), announced(said):
        print("announced", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
