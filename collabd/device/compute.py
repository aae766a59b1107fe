"""The device's one compute lane: everything heavy runs here, one at a time, and is timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

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
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def run(self, work: Callable[[], T], *, setup: Callable[[], None] | None = None) -> Timed[T]:
        """Run `work` on the lane; its errors are raised here. Cancelled before its turn, it never runs.

        `setup` goes first and is not timed: what is built once must not look like the cost of a run.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work, setup)

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run `work` on the lane without emulating a slower device: measuring, building and other preparation."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _timed(self, work: Callable[[], T], setup: Callable[[], None] | None) -> Timed[T]:
        if setup is not None:
            setup()
        start = time.perf_counter()
        value = work()
        if self.slowdown > 1:
            time.sleep((time.perf_counter() - start) * (self.slowdown - 1))
        return Timed(value, time.perf_counter() - start)

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self._pool.shutdown(cancel_futures=True)
