"""The socket at which Frigate asks. Frigate's is of ZeroMQ's kind REQ: it sends one message, and waits for one.

Ours is a ROUTER, which speaks to REQ as REP does, but serves several peers at once and tells them apart: none waits for
what another sends, and a peer that is gone when its answer comes holds nobody up.
"""

from __future__ import annotations

import asyncio
import os
import socket as sockets
import stat
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.asyncio

from collabd.http.listening import host_and_port, ipc_path, is_ipc

# Answers may leave for so long when the door closes.
_LINGER_MS = 500
# Messages of one peer that wait here. A peer waits for its answer before it sends the next.
_WAITING = 2
# As the Unix socket of the daemon: for its user and its group.
_MODE = 0o660
_PEER_ADDRESS = "Peer-Address"


@dataclass(frozen=True, eq=False)
class Arrived:
    """A message. `peer`: the connection that it came through. `user`: whose share of the daemon it takes."""

    peer: bytes
    user: Hashable
    frames: Sequence[memoryview]

    @property
    def nbytes(self) -> int:
        """The size of all frames."""
        return sum(len(frame) for frame in self.frames)


class FrigateSocket:
    """An open socket. `address`: where it listens."""

    def __init__(self, router: zmq.asyncio.Socket, address: str) -> None:
        self._router = router
        self.address = address

    async def arrived(self) -> Arrived | None:
        """The next message; None: what came is none that REQ sends, so nobody waits for an answer."""
        peer, *frames = await self._router.recv_multipart(copy=False)
        if len(frames) < 2 or len(frames[0]):
            return None
        user = frames[-1].get(_PEER_ADDRESS) or "ipc"
        return Arrived(peer.bytes, ("zmq", user), [frame.buffer for frame in frames[1:]])

    async def reply(self, peer: bytes, frames: Sequence[bytes]) -> None:
        """Answer a peer. If it is gone, nothing happens."""
        await self._router.send_multipart([peer, b"", *frames])


@asynccontextmanager
async def open_router(listen: str, *, most_bytes: int) -> AsyncIterator[FrigateSocket]:
    """A socket at `listen`, HOST:PORT or ipc:///PATH, inside this context. Raises `OSError`.

    A frame of more than `most_bytes` ends its connection.
    """
    context = zmq.asyncio.Context()
    try:
        router = context.socket(zmq.ROUTER)
        router.set(zmq.MAXMSGSIZE, most_bytes)
        router.set(zmq.RCVHWM, _WAITING)
        router.set(zmq.SNDHWM, _WAITING)
        router.set(zmq.LINGER, _LINGER_MS)
        try:
            address = _bound_path(router, listen) if is_ipc(listen) else await _bound_port(router, listen)
        except zmq.ZMQError as error:
            raise OSError(error.errno, f"cannot listen at {listen}: {error.strerror}") from error
        yield FrigateSocket(router, address)
    finally:
        context.destroy()


def _bound_path(router: zmq.asyncio.Socket, listen: str) -> str:
    path = Path(ipc_path(listen))
    # ZeroMQ would remove whatever is there.
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(f"cannot listen at {listen}: there is a file that is no socket")
    # Nobody may connect before the mode is right.
    mask = os.umask(0o777 & ~_MODE)
    try:
        router.bind(listen)
    finally:
        os.umask(mask)
    return listen


async def _bound_port(router: zmq.asyncio.Socket, listen: str) -> str:
    host, port = host_and_port(listen)
    # ZeroMQ takes addresses, but no names.
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=sockets.SOCK_STREAM)
    addresses = []
    for family, *_, (address, *_) in dict.fromkeys(found):
        router.set(zmq.IPV6, family == sockets.AF_INET6)
        router.bind(f"tcp://{f'[{address}]' if family == sockets.AF_INET6 else address}:{port}")
        addresses.append(router.get_string(zmq.LAST_ENDPOINT))
    return addresses[0]
