"""Natural batching: requests that come while the engine is busy run together next. None waits for an idle engine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import Overloaded
from collabd.cloud.call.work import Done, Tensors, Work
from collabd.fair_shares import most_for


class Runner(Protocol):
    """What the batcher needs of an engine."""

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Make ready to run, which can take long the first time."""

    def run(self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> Tensors:
        """Run; blocks."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _QueuedWork:
    work: Work
    peer: str | None
    done: asyncio.Future[Done]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Runs work on `lane`, one run at a time, up to `batch_max` rows in each; `serve` must be running.

    `on_run` hears the rows of each run.
    """

    def __init__(
        self, runner: Runner, lane: Executor, *, batch_max: int, queue_max: int, on_run: Callable[[int], None]
    ) -> None:
        self._runner = runner
        self._lane = lane
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._on_run = on_run
        self._waiting: list[_QueuedWork] = []
        self._arrived = asyncio.Event()
        self._admitted: Counter[str | None] = Counter()
        self._batch: list[_QueuedWork] = []
        # The turn in which each waiting device was last served.
        self._turns: dict[str | None, int] = {}
        self._turn = 0

    @property
    def queued(self) -> int:
        """Requests that are admitted and do not run yet."""
        return self._admitted.total() - self._running.total()

    @property
    def _running(self) -> Counter[str | None]:
        """Requests that run and still have a caller, by device."""
        return Counter(each.peer for each in self._batch if not each.done.done())

    def check_room(self, peer: str | None) -> None:
        """Raises `Overloaded` where one more request of this device finds no place in the queue."""
        queued, own = self.queued, self._admitted[peer] - self._running[peer]
        if queued >= self._queue_max or own >= most_for(peer, self._queue_max):
            raise Overloaded(f"{queued} requests already wait; try again later", {"queue": queued})

    @contextmanager
    def admitted(self, peer: str | None = None) -> Iterator[None]:
        """Hold a place in the queue, from before its inputs are decoded until the answer. Raises `Overloaded`."""
        self.check_room(peer)
        self._admitted[peer] += 1
        try:
            yield
        finally:
            self._admitted -= Counter({peer: 1})

    async def submit(self, work: Work, peer: str | None = None) -> Done:
        """Run `work` in its turn; a caller that is cancelled before that leaves the queue. Raises what the run does."""
        waiting = _QueuedWork(work=work, peer=peer, done=asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.done

    async def serve(self) -> None:
        """Run what is submitted, until cancelled."""
        while True:
            await self._arrived.wait()
            if batch := self._take():
                self._batch = batch
                await self._run(batch)
                self._batch = []
            else:
                self._arrived.clear()

    def _take(self) -> list[_QueuedWork]:
        """The next work and what can join it. Work whose caller has gone is dropped.

        Next is the oldest work of the device that was not served for the longest time. So a device that asks for much
        at once does not make the others wait for all of it.
        """
        waiting = [each for each in self._waiting if not each.done.cancelled()]
        batch = [min(waiting, key=lambda each: self._turns.get(each.peer, 0))] if waiting else []
        rows = sum(each.work.rows for each in batch)
        left: list[_QueuedWork] = []
        for each in waiting:
            if each is batch[0]:
                continue
            if _may_join(each, batch[0]) and rows + each.work.rows <= min(self._batch_max, each.work.most_rows):
                batch.append(each)
                rows += each.work.rows
            else:
                left.append(each)
        self._turn += 1
        served = {each.peer: self._turn for each in batch}
        self._turns = {each.peer: self._turns.get(each.peer, 0) for each in left} | served
        self._waiting = left
        return batch

    async def _run(self, batch: list[_QueuedWork]) -> None:
        """Answer every caller of the batch. Where a joint run fails, each runs alone: one must not fail the others."""
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._lane, self._compute, batch)
        except Exception as error:  # noqa: BLE001  the callers get it
            if len(batch) > 1:
                for waiting in batch:
                    await self._run([waiting])
            elif not batch[0].done.done():
                batch[0].done.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(answer)

    def _compute(self, batch: list[_QueuedWork]) -> list[Done]:
        works = [waiting.work for waiting in batch]
        feeds = works[0].feeds if len(works) == 1 else _join(works)
        key, outputs = works[0].key, works[0].outputs
        # Building a session counts as waiting, not as computing: it happens once.
        self._runner.prepare(key, tuple(feeds), outputs)
        start = time.perf_counter()
        results = self._runner.run(key, feeds, outputs)
        seconds = time.perf_counter() - start
        rows = sum(work.rows for work in works)
        self._on_run(rows)
        parts = [results] if len(works) == 1 else _split(results, [work.rows for work in works])
        return [
            Done(outputs=part, queue_s=start - waiting.since, compute_s=seconds, batch=rows)
            for waiting, part in zip(batch, parts, strict=True)
        ]


def _may_join(one: _QueuedWork, first: _QueuedWork) -> bool:
    return one.work.group is not None and one.work.group == first.work.group


def _join(works: Sequence[Work]) -> Tensors:
    return {name: np.concatenate([work.feeds[name] for work in works]) for name in works[0].feeds}


def _split(results: Tensors, rows: Sequence[int]) -> list[Tensors]:
    """Each caller's rows of the results. ValueError unless the graph kept the length of axis 0."""
    for name, array in results.items():
        if array.shape[:1] != (sum(rows),):
            raise ValueError(f"{name} has shape {array.shape} for {sum(rows)} rows")
    ends = np.cumsum(rows)
    return [
        {name: array[end - count : end] for name, array in results.items()}
        for count, end in zip(rows, ends, strict=True)
    ]
