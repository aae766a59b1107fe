"""The device's one compute lane: everything heavy runs here, one at a time, and is timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from collabd.device.promises import Promises
from collabd.device.turns import Turns
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
        self.promises = Promises(lambda: self.backlog_s)
        self._turns = Turns()
        self._pieces = 0
        self._expected_s = 0.0
        # When the piece that runs began, and how long it was expected to take.
        self._running = (0.0, 0.0)

    @property
    def busy(self) -> bool:
        """Whether a call runs something or waits for its turn."""
        return self._pieces > 0

    @property
    def backlog_s(self) -> float:
        """How long what runs and what waits may well take."""
        began, expected_s = self._running
        return max(self._expected_s - min(time.perf_counter() - began, expected_s), 0.0)

    async def run(
        self,
        work: Callable[[Stop], T],
        *,
        expect_s: float = 0.0,
        due_s: float | None = None,
        setup: Callable[[], None] | None = None,
    ) -> Timed[T]:
        """Run `work`, which may well take `expect_s`, on the lane; its errors are raised here. `setup` goes first.

        `due_s`, on the event loop's clock: when its call must be answered, which decides whose turn it is.

        Cancelled before its turn, it never runs; later, its `Stop` is requested, so that the lane is free for others.
        `setup` is not timed: what is built once must not look like the cost of a run.
        """
        stop = Stop()
        self._pieces += 1
        self._expected_s += expect_s
        self.promises.look()
        try:
            piece = partial(self._timed, work, expect_s, setup, stop)
            async with self._turns.turn(due_s, expect_s):
                return await asyncio.get_running_loop().run_in_executor(self.worker, piece)
        except asyncio.CancelledError:
            stop.request()
            raise
        finally:
            self._pieces -= 1
            self._expected_s -= expect_s

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run `work` on the lane without emulating a slower device: measuring, building and other preparation."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, work)

    def _timed(
        self, work: Callable[[Stop], T], expect_s: float, setup: Callable[[], None] | None, stop: Stop
    ) -> Timed[T]:
        self._running = time.perf_counter(), expect_s
        try:
            if setup is not None:
                setup()
            return self._paced(work, stop)
        finally:
            self._running = 0.0, 0.0

    def _paced(self, work: Callable[[Stop], T], stop: Stop) -> Timed[T]:
        start = time.perf_counter()
        value = work(stop)
        if self.slowdown > 1 and stop.wait((time.perf_counter() - start) * (self.slowdown - 1)):
            raise Stopped("a slower device would not have finished")
        return Timed(value, time.perf_counter() - start)

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self.worker.shutdown(cancel_futures=True)
