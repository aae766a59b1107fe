"""Both daemons against hostile peers on bare sockets; afterwards the daemons serve all others as before."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from collabd.device.api.local_peers import LOCAL_PEERS, LocalPeers
from collabd.http.server import ConnectionLimits
from tests.integration.device.conftest import Bench, Factory
from tests.patience import PATIENCE_S

Open = Callable[[], socket.socket]
INFER = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: d\r\n"


@pytest.fixture(params=["device", "companion"])
def side(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@asynccontextmanager
async def both(bench: Factory, side: str, peers: LocalPeers = LOCAL_PEERS) -> AsyncIterator[tuple[Bench, Open]]:
    """The daemons, and how to connect to the one meant; in the end both still answer."""
    async with bench("[server]\nmax_request_mb = 1\n", pushed=True, peers=peers) as it:
        url = urlsplit((await it.client.status())["clouds"][0]["url"])

        def device() -> socket.socket:
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(PATIENCE_S)
            peer.connect(str(it.socket))
            return peer

        def companion() -> socket.socket:
            return socket.create_connection((url.hostname, url.port), timeout=PATIENCE_S)

        yield it, device if side == "device" else companion
        assert set((await it.client.infer(it.images[0], cut="image", fallback="fail")).ran) == {"C"}
        assert "D" in (await it.client.infer(it.images[0], fallback="never-leave")).ran


def to_the_end(peer: socket.socket) -> bytes:
    heard = b""
    with peer, suppress(ConnectionError):
        while chunk := peer.recv(65536):
            heard += chunk
    return heard


async def hears(connect: Open, says: bytes) -> bytes:
    def talk() -> bytes:
        peer = connect()
        with suppress(OSError):  # "not connected" too, which is no ConnectionError
            peer.sendall(says)
            # Where the daemon has closed the connection already there is none to shut down: ENOTCONN.
            with suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
        return to_the_end(peer)

    return await asyncio.to_thread(talk)


async def test_a_thousand_silent_peers_stop_nobody(bench: Factory, side: str) -> None:
    async with both(bench, side, LocalPeers(connections=ConnectionLimits(connections=64))) as (it, connect):
        silent = []
        for _ in range(1000):
            with suppress(BlockingIOError):  # a Unix socket's queue is full
                silent.append(connect())
            if len(silent) % 50 == 0:
                await it.client.status()
        assert len(silent) > 500
        assert "D" in (await it.client.infer(it.images[0], fallback="never-leave")).ran
        for peer in silent:
            peer.close()


async def test_who_does_not_ask_is_cut_off(bench: Factory, side: str) -> None:
    async with both(bench, side, LocalPeers(connections=ConnectionLimits(head_s=1.0))) as (_, connect):
        for says in (b"", INFER):
            peer = connect()
            peer.sendall(says)
            assert await asyncio.to_thread(to_the_end, peer) == b""


FLOODS: dict[str, bytes] = {
    "an endless line": b"GET /" + b"a" * 2**20,
    "endless headers": INFER + b"A: b\r\n" * 2**18,
    "one endless header": INFER + b"A: " + b"b" * 2**20,
    "both lengths": INFER + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INFER,
    "two lengths": INFER + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}" + INFER,
    "an endless chunk extension": INFER + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 2**20 + b"\r\nxx",
    "chunks without end": INFER
    + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    + b"400\r\n%b\r\n" % bytes(1024) * 2**13,
    "a wrong chunk": INFER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("says", FLOODS.values(), ids=FLOODS)
async def test_floods_and_ambiguities_are_refused(bench: Factory, side: str, says: bytes) -> None:
    async with both(bench, side) as (_, connect):
        # A peer that is cut off in the middle of its flood may not get to hear the answer.
        assert (await hears(connect, says))[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 413"}


@contextmanager
def memory_traced() -> Iterator[Callable[[], int]]:
    """The most bytes that all of Python held at once in the context, beyond those from before."""
    most = 0
    tracemalloc.start()
    try:
        yield lambda: most
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_unpacked_no_further_than_the_limit(bench: Factory, side: str, encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    async with both(bench, side) as (_, connect):
        says = INFER + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(bomb)) + bomb
        says = says.replace(b"Host: d", b"Host: d\r\nConnection: close")
        with memory_traced() as most:
            reply = await hears(connect, says)
        assert b"request_too_large" in reply or reply == b""
    # 256 MiB were in it. A request may have 1 MiB there, 64 MiB here.
    assert most() < (16 if side == "device" else 96) * 2**20
