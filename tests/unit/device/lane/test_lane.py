"""The compute lane runs one piece of work at a time, and drops or stops work that was cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from collabd.device.lane.lane import ComputeThread, Lane
from collabd.engine import Stop
from tests.patience import PATIENCE_S


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane(ComputeThread())
    yield lane
    lane.close()


async def cancelled(lane: Lane, work: Callable[[Stop], None], started: threading.Event) -> None:
    task = asyncio.create_task(lane.run(work))
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_work_that_is_cancelled_is_told(lane: Lane) -> None:
    started, stops = threading.Event(), []

    def endless(stop: Stop) -> None:
        started.set()
        while not stop.wait(0.01):
            pass
        stops.append(stop)

    await cancelled(lane, endless, started)
    assert (await lane.run(lambda stop: stop.requested)).value is False
    assert [stop.requested for stop in stops] == [True]


async def test_what_is_cancelled_before_its_turn_never_runs(lane: Lane) -> None:
    ran: list[str] = []
    release, started = threading.Event(), threading.Event()

    def first(_: Stop) -> None:
        started.set()
        release.wait(PATIENCE_S)

    running = asyncio.create_task(lane.run(first))
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    waiting = asyncio.create_task(lane.run(lambda _: ran.append("waiting")))
    await asyncio.sleep(0)
    assert lane.busy
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    release.set()
    await running
    await lane.run(lambda _: ran.append("last"))
    assert ran == ["last"]
    assert not lane.busy


async def test_errors_and_times_are_those_of_the_work_alone(lane: Lane) -> None:
    ran: list[str] = []
    timed = await lane.run(lambda _: ran.append("work"), setup=lambda: ran.append("setup"))
    assert ran == ["setup", "work"]
    assert timed.seconds > 0
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda _: 1 // 0)
