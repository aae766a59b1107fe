"""The lanes: threads that compute side by side, each with its share of the cores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from collabd.worker import Worker

T = TypeVar("T")


class Lanes:
    """`count` lanes on `cores` cores. For one thread, the event loop's.

    `cores_each`: how many cores a run may use while the other lanes run, too.
    """

    def __init__(self, count: int, cores: int, new_worker: Callable[[str], Worker] = Worker) -> None:
        """`new_worker` makes the thread of a lane, of its name."""
        self.cores = cores
        self.cores_each = max(cores // count, 1)
        self.workers = tuple(new_worker(f"compute-{number}") for number in range(count))
        # The last that became free is the next to be taken: what it needs is still in the caches of its core.
        self._free = list(self.workers)
        self._quiet = asyncio.Event()
        self._quiet.set()
        # How many want the machine for themselves, and who of them has it.
        self._wanting = 0
        self._alone = asyncio.Lock()
        # Called when a lane may be taken again.
        self.freed: Callable[[], None] = _nobody_waits

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.workers)

    @property
    def busy(self) -> int:
        """How many are taken."""
        return len(self.workers) - len(self._free)

    def take(self) -> Worker | None:
        """A lane that is free; None: there is none, or somebody wants the machine for itself."""
        if self._wanting or not self._free:
            return None
        self._quiet.clear()
        return self._free.pop()

    def give_back(self, lane: Worker) -> None:
        """Whoever took the lane is done with it."""
        self._free.append(lane)
        if not self.busy:
            self._quiet.set()
        if not self._wanting:
            self.freed()

    async def alone(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises in a lane, while the other lanes rest. Lanes that are taken finish before."""
        self._wanting += 1
        try:
            async with self._alone:
                await self._quiet.wait()
                return await _to_its_end(self.workers[0].begin(work))
        finally:
            self._wanting -= 1
            if not self._wanting:
                self.freed()

    def shutdown(self) -> None:
        """Take no more work, drop what waits, and wait for what runs."""
        for worker in self.workers:
            worker.shutdown(wait=False, cancel_futures=True)
        for worker in self.workers:
            worker.shutdown()


async def _to_its_end(running: asyncio.Future[T]) -> T:
    """Also where the caller is cancelled, the thread works on, and keeps the others waiting until it is done."""
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            await asyncio.wait([running])
        # Its error refers to this frame: only the garbage collector would free the two.
        del running


def _nobody_waits() -> None: ...
