"""One thread that runs jobs in order, for callers with an event loop and without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from collabd.worker import Worker
from tests.patience import PATIENCE_S, reached


@pytest.fixture
def worker() -> Iterator[Worker]:
    it = Worker("test")
    yield it
    it.shutdown(cancel_futures=True)


async def held_up(worker: Worker) -> threading.Event:
    """A job runs until the event is set."""
    begun, free = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        reached(free)

    worker.submit(held)
    await asyncio.to_thread(reached, begun)
    return free


def fail() -> None:
    raise ZeroDivisionError("of the job")


async def test_what_a_job_returns_or_raises_comes_back(worker: Worker) -> None:
    assert await worker.run(threading.current_thread) is worker.submit(threading.current_thread).result(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        await worker.run(fail)
    with pytest.raises(ZeroDivisionError):
        worker.submit(fail).result(PATIENCE_S)
    assert worker.submit(divmod, 7, 2).result(PATIENCE_S) == (3, 1)


async def test_jobs_run_in_the_order_in_which_they_came(worker: Worker) -> None:
    free, ran = await held_up(worker), list[int]()
    awaited = [asyncio.create_task(worker.run(lambda number=number: ran.append(number))) for number in range(3)]  # type: ignore[misc]
    await asyncio.sleep(0)
    submitted = worker.submit(ran.append, 3)
    assert worker.waiting == 4
    free.set()
    await asyncio.gather(*awaited)
    assert submitted.result(PATIENCE_S) is None
    assert ran == [0, 1, 2, 3]


async def test_what_is_cancelled_before_its_turn_does_not_run(worker: Worker) -> None:
    free, ran = await held_up(worker), list[str]()
    task = asyncio.create_task(worker.run(lambda: ran.append("awaited")))
    await asyncio.sleep(0)
    task.cancel()
    submitted = worker.submit(ran.append, "submitted")
    assert submitted.cancel()
    free.set()
    await worker.run(lambda: ran.append("last"))
    assert ran == ["last"]
    assert task.cancelled()


async def test_what_is_cancelled_in_its_turn_ends_and_disturbs_nobody(worker: Worker) -> None:
    begun, free = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        reached(free)

    task = asyncio.create_task(worker.run(held))
    await asyncio.to_thread(reached, begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    free.set()
    assert await worker.run(lambda: "next") == "next"


async def test_shutting_down_drops_what_waits_and_ends_what_runs() -> None:
    worker, begun, free, ended = Worker("test"), threading.Event(), threading.Event(), list[str]()

    def held() -> None:
        begun.set()
        reached(free)
        ended.append("held")

    running, awaited = worker.submit(held), asyncio.create_task(worker.run(lambda: ended.append("awaited")))
    await asyncio.to_thread(reached, begun)
    submitted = worker.submit(ended.append, "submitted")
    closing = asyncio.create_task(asyncio.to_thread(worker.shutdown, cancel_futures=True))
    with pytest.raises(asyncio.CancelledError):
        await awaited
    with pytest.raises(CancelledError):
        submitted.result(PATIENCE_S)
    free.set()
    await closing
    assert (ended, running.result(PATIENCE_S)) == (["held"], None)
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit(int)


def test_a_loop_that_is_closed_disturbs_nobody(worker: Worker) -> None:
    free = threading.Event()

    async def leaves() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(worker.run(free.wait), 0.01)

    asyncio.run(leaves())
    free.set()
    assert worker.submit(lambda: "next").result(PATIENCE_S) == "next"
