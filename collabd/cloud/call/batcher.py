"""Natural batching: requests that come while all lanes are busy run together next. None waits for an idle lane."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from collabd.clock import Clock
from collabd.cloud.call.next_batch import QueuedWork, next_batch
from collabd.cloud.call.places import Places, QueuePlace
from collabd.cloud.call.run_times import RunTimes
from collabd.cloud.call.work import Done, Tensors, Work
from collabd.cloud.lanes import Lanes
from collabd.worker import Worker

# The weight of the latest run in `Batcher.slowdown`.
_NEWEST = 0.1


class Runner(Protocol):
    """What the batcher needs of an engine."""

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str], *, threads: int) -> None:
        """Make ready to run, which can take long the first time."""

    def run(self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], *, threads: int) -> Tensors:
        """Run on so many cores; blocks."""

    def clock(self, threads: int) -> Callable[[], float]:
        """Seconds that tell what a run on so many cores costs."""


class _JointRun(NamedTuple):
    batch: list[QueuedWork]
    cores: int

    @property
    def rows(self) -> int:
        return sum(each.work.rows for each in self.batch)

    @property
    def rows_of(self) -> Counter[str | None]:
        """The rows of each device."""
        counted: Counter[str | None] = Counter()
        for each in self.batch:
            counted[each.device] += each.work.rows
        return counted


class _Ran(NamedTuple):
    """`seconds`: what the lane took for it, without building a session. `cost_s`: the same by the runner's clock."""

    answers: list[Done]
    seconds: float
    cost_s: float


class Batcher:
    """Runs work on `lanes`, up to `batch_max` rows in each run, no more than pay.

    Under load each lane runs on its own cores. Where fewer requests are at hand than half of the lanes, they run one
    after the other, each on all cores. `on_run` hears the rows of each run, and on how many cores it was.
    """

    def __init__(
        self,
        runner: Runner,
        lanes: Lanes,
        places: Places,
        *,
        batch_max: int,
        on_run: Callable[[int, int], None],
        clock: Clock = time.perf_counter,
    ) -> None:
        self._runner = runner
        self._lanes = lanes
        self.places = places
        self._batch_max = batch_max
        self._on_run = on_run
        self._clock = clock
        self._times = RunTimes()
        # In the order in which it came.
        self._waiting: list[QueuedWork] = []
        # The rows of each device that run.
        self._running: Counter[str | None] = Counter()
        # The turn in which each waiting device was last served.
        self._served: dict[str | None, int] = {}
        self._turn = 0
        # How many times longer than on all cores runs took lately, since others ran beside them.
        self.slowdown = 1.0
        lanes.freed = self._start_what_can

    async def submit(self, work: Work, place: QueuePlace) -> Done:
        """Run `work` in its turn; a caller that is cancelled before that leaves the queue. Raises what the run does."""
        queued = QueuedWork(
            work=work, place=place, done=asyncio.get_running_loop().create_future(), since=self._clock()
        )
        self._waiting.append(queued)
        self._start_what_can()
        return await queued.done

    def _start_what_can(self) -> None:
        while True:
            self._waiting = [each for each in self._waiting if not each.done.cancelled()]
            if not self._waiting:
                return
            few = 2 * self.places.taken <= self._lanes.count
            if few and self._lanes.busy:
                return
            lane = self._lanes.take()
            if lane is None:
                return
            self._start(lane, self._next(few=few))

    def _next(self, *, few: bool) -> _JointRun:
        """The next run, whose work no longer waits."""
        cores, lanes = (self._lanes.cores, 1) if few else (self._lanes.cores_each, self._lanes.count)

        def most_rows(work: Work) -> int:
            most = min(self._batch_max, work.most_rows)
            return self._times.most_rows(_kind(work, cores), most, at_first=max(self._batch_max // lanes, 1))

        batch = next_batch(
            self._waiting,
            running=self._running,
            served=self._served,
            most_rows=most_rows,
            lanes=lanes,
        )
        self._waiting = [each for each in self._waiting if each not in batch]
        self._turn += 1
        now_served = {each.device: self._turn for each in batch}
        still = {each.device for each in self._waiting}
        self._served = {device: self._served.get(device, 0) for device in still} | now_served
        return _JointRun(batch, cores)

    def _start(self, lane: Worker, run: _JointRun) -> None:
        for each in run.batch:
            each.place.begin()
        self._running += run.rows_of
        lane.begin(partial(self._compute, run)).add_done_callback(partial(self._ended, lane, run))

    def _ended(self, lane: Worker, run: _JointRun, ran: asyncio.Future[_Ran]) -> None:
        """Answer every caller of the batch."""
        self._running -= run.rows_of
        if ran.cancelled():
            for each in run.batch:
                each.done.cancel()
        elif (error := ran.exception()) is not None:
            self._failed(run, error)
            del error
        else:
            self._note(run, ran.result())
            for each, answer in zip(run.batch, ran.result().answers, strict=True):
                if not each.done.done():
                    each.done.set_result(answer)
        self._lanes.give_back(lane)

    def _failed(self, run: _JointRun, error: BaseException) -> None:
        """Where a joint run fails, each runs alone: one must not fail the others."""
        if len(run.batch) > 1:
            self._waiting[:0] = [replace(each, work=replace(each.work, group=None)) for each in run.batch]
        elif not run.batch[0].done.done():
            run.batch[0].done.set_exception(error)

    def _note(self, run: _JointRun, ran: _Ran) -> None:
        first, all_cores = run.batch[0].work, self._lanes.cores
        self._on_run(run.rows, run.cores)
        self._times.ran(_kind(first, run.cores), run.rows, ran.cost_s)
        beside = 1 if run.cores == all_cores else self._lanes.count
        self.places.ran(ran.seconds / len(run.batch) / beside)
        now, alone = (self._times.row_s(_kind(first, cores)) for cores in (run.cores, all_cores))
        longer = 1.0 if now is None or alone is None else max(now / alone, 1.0)
        self.slowdown += (longer - self.slowdown) * _NEWEST

    def _compute(self, run: _JointRun) -> _Ran:
        works = [each.work for each in run.batch]
        first = works[0]
        # Building a session counts as waiting, not as computing: it happens once.
        self._runner.prepare(first.key, tuple(first.feeds), first.outputs, threads=run.cores)
        clock = self._runner.clock(run.cores)
        began, cost = self._clock(), clock()
        feeds = first.feeds if len(works) == 1 else _join(works)
        start = self._clock()
        results = self._runner.run(first.key, feeds, first.outputs, threads=run.cores)
        seconds = self._clock() - start
        parts = [results] if len(works) == 1 else _split(results, [work.rows for work in works])
        answers = [
            Done(outputs=part, queue_s=start - each.since, compute_s=seconds, batch=run.rows)
            for each, part in zip(run.batch, parts, strict=True)
        ]
        return _Ran(answers, self._clock() - began, clock() - cost)


def _kind(work: Work, cores: int) -> Hashable:
    """What runs alike: the same part of the same network, on as many cores."""
    return work.key, tuple(work.feeds), work.outputs, cores


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
