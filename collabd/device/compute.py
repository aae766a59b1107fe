"""The device's one compute lane: everything heavy runs here, one at a time, and is timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from collabd.engine import Stop, Stopped
from collabd.systemd.watchdog import Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result and the seconds that it took."""

    value: T
    seconds: float


class Lane:
    """One thread, so that runs do not fight for the cores and a measured time is that of one run.

    `slowdown` emulates a device that many times slower by waiting in proportion after each run.
    """

    def __init__(self, slowdown: float) -> None:
        self.slowdown = slowdown
        self.worker = Worker("compute")
        self._pieces = 0

    @property
    def busy(self) -> bool:
        """Whether a call runs something or waits for its turn."""
        return self._pieces > 0

    async def run(self, work: Callable[[Stop], T], *, setup: Callable[[], None] | None = None) -> Timed[T]:
        """Run `work` on the lane; its errors are raised here. `setup` goes first.

        Cancelled before its turn, it never runs; later, its `Stop` is requested, so that the lane is free for others.
        `setup` is not timed: what is built once must not look like the cost of a run.
        """
        stop = Stop()
        self._pieces += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.worker, self._timed, work, setup, stop)
        except asyncio.CancelledError:
            stop.request()
            raise
        finally:
            self._pieces -= 1

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run `work` on the lane without emulating a slower device: measuring, building and other preparation."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, work)

    def _timed(self, work: Callable[[Stop], T], setup: Callable[[], None] | None, stop: Stop) -> Timed[T]:
        if setup is not None:
            setup()
        start = time.perf_counter()
        value = work(stop)
        if self.slowdown > 1 and stop.wait((time.perf_counter() - start) * (self.slowdown - 1)):
            raise Stopped("a slower device would not have finished")
        return Timed(value, time.perf_counter() - start)

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self.worker.shutdown(cancel_futures=True)
