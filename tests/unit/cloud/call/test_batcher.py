"""Natural batching, in front of a runner that can be held up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk.errors import Overloaded
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.work import Done, Tensors, Work


class Doubler:
    """y = 2x. Runs only while `gate` is set, and remembers how many rows each run had."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[int] = []
        self.prepared: list[tuple[str, ...]] = []

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.prepared.append((key, *inputs, *outputs))

    def run(self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> Tensors:
        assert self.gate.wait(10)
        x = feeds["x"]
        self.runs.append(len(x))
        if (x < 0).any():
            raise ValueError("negative")
        if key == "shrinks":
            return {"y": x[:1] * 2}
        return dict.fromkeys(outputs, x * 2)


@asynccontextmanager
async def batching(
    runner: Doubler, *, batch_max: int = 8, queue_max: int = 64
) -> AsyncIterator[tuple[Batcher, list[int]]]:
    told: list[int] = []
    with ThreadPoolExecutor(1) as lane:
        batcher = Batcher(runner, lane, batch_max=batch_max, queue_max=queue_max, on_run=told.append)
        serving = asyncio.create_task(batcher.serve())
        try:
            yield batcher, told
        finally:
            runner.gate.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def work(*values: float, group: str | None = "g", key: str = "k") -> Work:
    feeds = {"x": np.array(values, np.float32)}
    return Work(key=key, feeds=feeds, outputs=("y",), group=group, rows=len(values))


async def submitted(batcher: Batcher, *works: Work) -> list[asyncio.Task[Done]]:
    """Tasks that wait in the queue, in this order, the first of them already running."""
    tasks = []
    for each in works:
        tasks.append(asyncio.create_task(batcher.submit(each)))
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
        done = await batcher.submit(work(1, 2))
    np.testing.assert_array_equal(done.outputs["y"], [2, 4])
    assert done.batch == 2
    assert done.queue_s >= 0
    assert done.compute_s > 0
    assert told == runner.runs == [2]
    assert runner.prepared == [("k", "x", "y")]


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
        assert (await batcher.submit(work(4))).batch == 1


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


async def test_a_full_queue_refuses_and_recovers() -> None:
    runner = Doubler()
    runner.gate.clear()

    async def call(batcher: Batcher) -> Done:
        with batcher.admitted():
            return await batcher.submit(work(1))

    async with batching(runner, queue_max=2) as (batcher, _):
        tasks = []
        for _ in range(3):
            tasks.append(asyncio.create_task(call(batcher)))
            await asyncio.sleep(0.01)
        assert batcher.queued == 2
        with pytest.raises(Overloaded) as refused:
            await call(batcher)
        assert refused.value.details == {"queue": 2}
        tasks[-1].cancel()
        await asyncio.gather(tasks[-1], return_exceptions=True)
        tasks[-1] = asyncio.create_task(call(batcher))
        runner.gate.set()
        await asyncio.gather(*tasks)
        assert batcher.queued == 0


async def test_devices_take_turns() -> None:
    runner = Doubler()
    runner.gate.clear()
    order: list[str] = []

    async def call(batcher: Batcher, peer: str, key: str) -> None:
        await batcher.submit(work(1, group=None, key=key), peer)
        order.append(key)

    async with batching(runner) as (batcher, _):
        tasks = []
        for peer, key in (("a", "a0"), ("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b0"), ("c", "c0"), ("b", "b1")):
            tasks.append(asyncio.create_task(call(batcher, peer, key)))
            await asyncio.sleep(0.01)
        runner.gate.set()
        await asyncio.gather(*tasks)
    # Whoever came first, "a" had its turn before the others.
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


async def test_no_device_takes_the_whole_queue() -> None:
    runner = Doubler()
    async with batching(runner, queue_max=4) as (batcher, _):
        with batcher.admitted("a"), batcher.admitted("a"), batcher.admitted("a"):
            with pytest.raises(Overloaded):
                batcher.check_room("a")
            with batcher.admitted("b"), pytest.raises(Overloaded):
                batcher.check_room("c")
        with batcher.admitted(), batcher.admitted(), batcher.admitted(), batcher.admitted():
            pass


async def test_what_others_run_gives_no_device_more_of_the_queue() -> None:
    runner = Doubler()
    runner.gate.clear()

    async def call(batcher: Batcher, peer: str) -> Done:
        with batcher.admitted(peer):
            return await batcher.submit(work(1), peer)

    async with batching(runner, queue_max=8) as (batcher, _):
        tasks = []
        for _ in range(3):  # one runs, two wait
            tasks.append(asyncio.create_task(call(batcher, "others")))
            await asyncio.sleep(0.01)
        for _ in range(6):
            tasks.append(asyncio.create_task(call(batcher, "a")))
            await asyncio.sleep(0)
        assert batcher.queued == 8
        with pytest.raises(Overloaded):
            batcher.check_room("a")
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        # There is room again, and "a" has its six.
        batcher.check_room("others")
        with pytest.raises(Overloaded):
            batcher.check_room("a")
        # One that runs for nobody makes no room either.
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert batcher.queued == 7
        runner.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert batcher.queued == 0


async def test_what_a_device_runs_itself_is_not_in_the_queue() -> None:
    runner = Doubler()
    runner.gate.clear()

    async def call(batcher: Batcher) -> Done:
        with batcher.admitted("a"):
            return await batcher.submit(work(1), "a")

    async with batching(runner, queue_max=4) as (batcher, _):
        tasks = []
        for _ in range(4):
            tasks.append(asyncio.create_task(call(batcher)))
            await asyncio.sleep(0.01)
        assert batcher.queued == 3
        with pytest.raises(Overloaded):
            batcher.check_room("a")
        runner.gate.set()
        await asyncio.gather(*tasks)
