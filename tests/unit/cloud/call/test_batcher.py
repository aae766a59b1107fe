"""Natural batching, in front of a runner that can be held up."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.places import Places
from collabd.cloud.call.work import Done, Tensors, Work
from collabd.cloud.lanes import Lanes
from tests.patience import PATIENCE_S


class Doubler:
    """y = 2x. Runs only while `gate` is set, and remembers how many rows each run had."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[int] = []
        # The rows of each run that has begun, and its cores.
        self.begun: list[tuple[int, int]] = []
        self.prepared: list[tuple[str, ...]] = []

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str], *, threads: int) -> None:
        self.prepared.append((key, *inputs, *outputs, str(threads)))

    def clock(self, threads: int) -> Callable[[], float]:
        assert threads > 0
        return time.perf_counter

    def run(self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], *, threads: int) -> Tensors:
        x = feeds["x"]
        self.begun.append((len(x), threads))
        assert self.gate.wait(PATIENCE_S)
        self.runs.append(len(x))
        if (x < 0).any():
            raise ValueError("negative")
        if key == "shrinks":
            return {"y": x[:1] * 2}
        return dict.fromkeys(outputs, x * 2)


@asynccontextmanager
async def batching(
    runner: Doubler, *, batch_max: int = 8, queue_max: int = 64, lanes: int = 1
) -> AsyncIterator[tuple[Batcher, list[int]]]:
    told: list[int] = []
    threads = Lanes(lanes, cores=lanes)
    batcher = Batcher(runner, threads, Places(queue_max), batch_max=batch_max, on_run=lambda rows, _: told.append(rows))
    try:
        yield batcher, told
    finally:
        runner.gate.set()
        await asyncio.to_thread(threads.shutdown)


async def call(batcher: Batcher, work: Work, device: str | None = None) -> Done:
    with batcher.places.held(device) as place:
        return await batcher.submit(work, place)


def work(*values: float, group: str | None = "g", key: str = "k") -> Work:
    feeds = {"x": np.array(values, np.float32)}
    return Work(key=key, feeds=feeds, outputs=("y",), precision=Precision.FP32, group=group, rows=len(values))


async def submitted(batcher: Batcher, *works: Work) -> list[asyncio.Task[Done]]:
    """Tasks that wait in the queue, in this order, the first of them already running."""
    tasks = []
    for each in works:
        tasks.append(asyncio.create_task(call(batcher, each)))
        await asyncio.sleep(0.01)
    return tasks


async def test_what_takes_much_runs_in_smaller_batches() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, told):
        heavy = [replace(work(number), most_rows=2) for number in range(6)]
        tasks = await submitted(batcher, *heavy)
        runner.gate.set()
        await asyncio.gather(*tasks)
    assert told == [1, 2, 2, 1]


async def test_one_request_runs_at_once_and_alone() -> None:
    runner = Doubler()
    async with batching(runner) as (batcher, told):
        done = await call(batcher, work(1, 2))
    np.testing.assert_array_equal(done.outputs["y"], [2, 4])
    assert done.batch == 2
    assert done.queue_s >= 0
    assert done.compute_s > 0
    assert told == runner.runs == [2]
    assert runner.prepared == [("k", "x", "y", "1")]


async def test_what_arrives_while_busy_runs_together_and_each_gets_its_own() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, _):
        tasks = await submitted(batcher, *(work(float(i)) for i in range(5)))
        runner.gate.set()
        answers = await asyncio.gather(*tasks)
    assert runner.runs == [1, 4]
    assert [float(answer.outputs["y"][0]) for answer in answers] == [0, 2, 4, 6, 8]
    assert [answer.batch for answer in answers] == [1, 4, 4, 4, 4]


async def test_a_batch_holds_no_more_rows_than_allowed() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner, batch_max=3) as (batcher, _):
        tasks = await submitted(batcher, work(0), work(1, 2), work(3, 4), work(5), work(6))
        runner.gate.set()
        answers = await asyncio.gather(*tasks)
    # The single row fills the gap that the pair leaves.
    assert runner.runs == [1, 3, 3]
    np.testing.assert_array_equal(answers[2].outputs["y"], [6, 8])


async def test_other_groups_and_work_without_a_group_run_apart_and_in_order() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, _):
        works = (work(0), work(1, 1, group="a"), work(2, group="b"), work(3, group=None), work(4, group=None))
        tasks = await submitted(batcher, *works, work(5, group="a"))
        runner.gate.set()
        await asyncio.gather(*tasks)
    assert runner.runs == [1, 3, 1, 1, 1]


async def test_a_failing_request_does_not_fail_those_it_ran_with() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, _):
        tasks = await submitted(batcher, work(0), work(1), work(-1), work(3))
        runner.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[2], ValueError)
        assert [float(answers[i].outputs["y"][0]) for i in (1, 3)] == [2, 6]  # type: ignore[union-attr]
        assert (await call(batcher, work(4))).batch == 1


async def test_results_without_a_row_for_each_are_not_shared_out() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, _):
        tasks = await submitted(batcher, work(0), work(1, key="shrinks", group="s"), work(2, key="shrinks", group="s"))
        runner.gate.set()
        answers = await asyncio.gather(*tasks)
    assert [float(answer.outputs["y"][0]) for answer in answers] == [0, 2, 4]
    assert runner.runs == [1, 2, 1, 1]


async def test_a_caller_that_is_gone_is_not_run() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner) as (batcher, _):
        running, waiting, gone = await submitted(batcher, work(0), work(1), work(2))
        gone.cancel()
        running.cancel()  # too late to save the run, but nobody hears of it
        await asyncio.gather(running, gone, return_exceptions=True)
        runner.gate.set()
        done = await waiting
    assert runner.runs == [1, 1]
    assert float(done.outputs["y"][0]) == 2


async def test_devices_take_turns() -> None:
    runner = Doubler()
    runner.gate.clear()
    order: list[str] = []

    async def ask(batcher: Batcher, device: str, key: str) -> None:
        await call(batcher, work(1, group=None, key=key), device)
        order.append(key)

    async with batching(runner) as (batcher, _):
        tasks = []
        for device, key in (("a", "a0"), ("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b0"), ("c", "c0"), ("b", "b1")):
            tasks.append(asyncio.create_task(ask(batcher, device, key)))
            await asyncio.sleep(0.01)
        runner.gate.set()
        await asyncio.gather(*tasks)
    # Whoever came first, "a" had its turn before the others.
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


async def test_each_lane_takes_its_share_on_its_own_core() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner, lanes=2) as (batcher, told):
        tasks = await submitted(batcher, *(work(float(number)) for number in range(10)))
        # The first was alone. The second found a lane that was free, and the others wait.
        assert runner.begun == [(1, 2), (1, 1)]
        runner.gate.set()
        answers = await asyncio.gather(*tasks)
    assert [float(answer.outputs["y"][0]) for answer in answers] == [2.0 * number for number in range(10)]
    # Of nine that wait or run, half is more than a lane may begin with.
    assert max(runner.begun[2:]) == (4, 1)
    assert sum(told) == 10


async def test_few_requests_run_one_after_the_other_on_all_cores() -> None:
    runner = Doubler()
    runner.gate.clear()
    async with batching(runner, lanes=4) as (batcher, _):
        tasks = await submitted(batcher, work(1), work(2))
        assert runner.begun == [(1, 4)]
        # With a third there are more than half as many as lanes.
        tasks += await submitted(batcher, work(3))
        assert runner.begun == [(1, 4), (1, 1), (1, 1)]
        runner.gate.set()
        await asyncio.gather(*tasks)


async def test_a_lane_works_on_while_another_is_stuck() -> None:
    runner = Doubler()
    runner.gate.clear()
    stuck = threading.Event()

    class HalfStuck(Doubler):
        def run(
            self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], *, threads: int
        ) -> Tensors:
            assert key != "stuck" or stuck.wait(PATIENCE_S)
            return super().run(key, feeds, outputs, threads=threads)

    async with batching(HalfStuck(), lanes=2) as (batcher, _):
        waiting = asyncio.create_task(call(batcher, work(1, key="stuck", group=None)))
        await asyncio.sleep(0.01)
        for number in range(5):
            assert float((await call(batcher, work(number))).outputs["y"][0]) == 2.0 * number
        assert not waiting.done()
        stuck.set()
        await waiting


async def test_who_is_dropped_at_the_end_hears_of_it() -> None:
    runner = Doubler()
    lanes = Lanes(1, cores=1)
    release = threading.Event()
    batcher = Batcher(runner, lanes, Places(4), batch_max=8, on_run=lambda *_: None)
    lanes.workers[0].submit(release.wait, PATIENCE_S)
    waiting = asyncio.create_task(call(batcher, work(1)))
    await asyncio.sleep(0.01)
    ending = asyncio.create_task(asyncio.to_thread(lanes.shutdown))
    await asyncio.wait([waiting], timeout=PATIENCE_S)
    assert waiting.cancelled()
    release.set()
    await ending
