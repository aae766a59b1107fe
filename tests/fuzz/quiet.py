"""An event loop that knows when all tasks wait for input or for a time, so that no test has to sleep."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from collabd.device.lane.lane import ComputeThread, Piece, Timed
from collabd.engine import Stop
from collabd.worker import Worker

T = TypeVar("T")
_AT_ONCE = 64 * 1024


class QuietLoop(asyncio.SelectorEventLoop):
    """Work for other threads is done on the spot."""

    def __init__(self) -> None:
        self._selector_ = _Selector()
        super().__init__(self._selector_)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]  # noqa: ARG002
        """As the base class does, but at once."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            done.set_exception(error)
        return done

    def run_until_quiet(self) -> None:
        """Run until every task waits for a peer or for a time to come."""
        self._selector_.when_idle = self.stop
        try:
            self.run_forever()
        finally:
            self._selector_.when_idle = None

    def run(self, work: Awaitable[Any]) -> Any:
        """Run until this is done."""
        return self.run_until_complete(work)


class OnTheSpot(ComputeThread):
    """The device's lane, as such a loop needs it."""

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        """As the base class does, but at once."""
        return self.timed(piece, stop)

    async def prepare(self, work: Callable[[], T]) -> T:
        """As the base class does, but at once."""
        return work()


class WorkerOnTheSpot(Worker):
    """A thread of the companion, as such a loop needs it."""

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """As the base class does, but at once."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    when_idle: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.when_idle is None or timeout == 0:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self.when_idle()
        return events


def exchange(loop: QuietLoop, peer: socket.socket, data: bytes) -> bytes:
    """What `peer`, connected to a server of the loop, gets for `data`, until neither has more to say. Closes it."""
    peer.setblocking(False)
    with peer:
        peer.sendall(data)
        heard = bytearray()
        while True:
            loop.run_until_quiet()
            chunk = _heard(peer)
            if not chunk:
                break
            heard += chunk
    loop.run_until_quiet()
    return bytes(heard)


def _heard(peer: socket.socket) -> bytes:
    try:
        return peer.recv(_AT_ONCE)
    except (BlockingIOError, ConnectionError):
        return b""
