"""The companions of packaging/compose come and go, and HAProxy learns of them from a name server, as in containers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from collab_sdk import AsyncClient, Result
from collabd.catalog.package.package import Package
from collabd.simulation.testbed import free_port
from tests.balanced.bed import haproxy
from tests.packaging.test_compose import BALANCES, keys_of
from tests.patience import PATIENCE_S
from tests.slowed import slowed_collabd

pytestmark = pytest.mark.skipif(haproxy() is None, reason="HAProxy is not installed (apt install haproxy)")
_A, _IN = 1, 1
_ANSWER, _NO_ERROR = 0x8000, 0


@dataclass
class Names(asyncio.DatagramProtocol):
    """A name server that tells the same addresses, whatever the name."""

    addresses: list[str] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, flags = struct.unpack_from(">HH", data)
        ends = data.index(0, 12) + 1
        question, (kind,) = data[12 : ends + 4], struct.unpack_from(">H", data, ends)
        found = self.addresses if kind == _A else []
        head = struct.pack(">HHHHHH", number, flags | _ANSWER | _NO_ERROR, 1, len(found), 0, 0)
        # Each answer refers to the name of the question, holds for no time at all, and has four bytes.
        answers = (struct.pack(">HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(address) for address in found)
        self._transport.sendto(head + question + b"".join(answers), addr)


class Bed:
    """HAProxy at a port, and companions at addresses of this machine, all at another one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys, token = keys_of(directory)
        (directory / "token").write_text(token)
        (directory / "token").chmod(0o600)
        (directory / "shared").mkdir()
        self.front, self.port = free_port(), free_port()
        self._settings = (directory / "collab-cloudd.toml").read_text().replace("/srv/collabd", f"{directory}/shared")

    @contextmanager
    def running(self, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        home = {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | home)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def companion(self, address: str) -> Iterator[subprocess.Popen[bytes]]:
        path = self.directory / f"{address}.toml"
        server = f'host = "{address}"\nport = {self.port}'
        settings = self._settings.replace('host = "0.0.0.0"', server)
        path.write_text(f'state_dir = "{self.directory}/{address}"\n{settings}\n[engine]\nthreads = 1\n')
        with self.running(address, sys.executable, "-m", "collabd.cloud", "--config", str(path)) as process:
            yield process

    @contextmanager
    def balancer(self, names: int) -> Iterator[None]:
        text = BALANCES.replace("/etc/collabd/keys/collab-cloudd", str(self.keys))
        text = text.replace("bind :8470", f"bind 127.0.0.1:{self.front}").replace(
            "companion:8470", f"companion:{self.port}"
        )
        path = self.directory / "haproxy.cfg"
        path.write_text(text.replace("127.0.0.11:53", f"127.0.0.1:{names}"))
        with self.running("haproxy", haproxy() or "", "-db", "-f", str(path)):
            yield

    @contextmanager
    def device(self, packages: Path) -> Iterator[Path]:
        settings, where = self.directory / "collabd.toml", self.directory / "collabd.sock"
        settings.write_text(
            f'state_dir = "{self.directory}/device"\n[models]\nroots = ["{packages}"]\n'
            f'[server]\nsocket = "{where}"\n[engine]\nthreads = 1\n'
            f'[[clouds]]\nname = "companions"\nurl = "https://127.0.0.1:{self.front}"\n'
            f'ca_file = "{self.keys}/ca.crt"\ntoken_file = "token"\n'
        )
        with self.running("device", *slowed_collabd(4.0), "--config", str(settings)):
            yield where

    async def logged(self, name: str, pattern: str, times: int = 1) -> None:
        """Wait until a program has logged this so often."""
        async with asyncio.timeout(PATIENCE_S):
            while len(re.findall(pattern, (self.directory / f"{name}.log").read_text())) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_companions_come_and_go_and_no_call_notices(
    tmp_path: Path, tiny_package: Package, tiny_images: list[np.ndarray]
) -> None:
    bed, packages, names = Bed(tmp_path), tmp_path / "packages", Names()
    shutil.copytree(tiny_package.path, packages / "tiny")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: names, local_addr=("127.0.0.1", 0))
    try:
        with bed.companion("127.0.0.2") as first, bed.companion("127.0.0.3"):
            for address in ("127.0.0.2", "127.0.0.3"):
                await bed.logged(address, "listening on")
            names.addresses = ["127.0.0.2"]
            with bed.balancer(transport.get_extra_info("sockname")[1]), bed.device(packages) as where:
                await bed.logged("haproxy", r"companion1.* is UP|companion1.*changed its IP")
                async with AsyncClient(where, timeout_s=60) as client:
                    await client.wait(PATIENCE_S, profiled=True)
                    await _until_it_holds(client, tiny_package)
                    asked = await client.infer(tiny_images[0], cut="image")
                    assert (asked.ran_on, asked.degraded) == ("companions", False)
                    names.addresses = ["127.0.0.2", "127.0.0.3"]
                    await bed.logged("haproxy", r"Server companions/companion2 .*is UP")
                    # Told to stop, it drains; from then on the other answers, which finds the package where they share.
                    first.terminate()
                    while first.poll() is None:
                        call = await client.infer(tiny_images[0], cut="image")
                        assert _is_well(call), call.why
                    names.addresses = ["127.0.0.3"]
                    async with asyncio.timeout(PATIENCE_S):
                        while (call := await client.infer(tiny_images[0], cut="image")).ran_on != "companions":
                            assert _is_well(call), call.why
                await bed.logged("127.0.0.3", f"loaded tiny, {tiny_package.digest}")
    finally:
        transport.close()


# A companion tries a package out before its first answer, and a busy machine is slow. A device that has waited in vain
# hears first that the companion is up again, then that it holds the package, then how fast it is.
_SLOW = "did not answer within", "has not said yet whether it holds the package", "is still measuring the package"


def _is_well(result: Result) -> bool:
    """Whether no companion has failed the call: all that may have gone wrong is that one was slow."""
    return not result.degraded or any(words in result.why for words in _SLOW)


async def _until_it_holds(client: AsyncClient, package: Package) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while package.digest not in (await client.status())["clouds"][0]["packages"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
