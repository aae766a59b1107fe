"""Work aside: it belongs to no call, and any call ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from collabd.device.lane.lane import ComputeThread, Lane
from collabd.engine import Stop, Stopped
from tests.patience import PATIENCE_S, reached


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane(ComputeThread())
    yield lane
    lane.close()


async def test_it_runs_while_no_call_is_under_way(lane: Lane) -> None:
    assert await lane.aside(lambda _: threading.current_thread().name) == "compute"
    with lane.claimed(None, 1.0), pytest.raises(Stopped):
        await lane.aside(lambda _: None)
    assert await lane.aside(lambda _: 1) == 1


async def test_a_call_that_comes_has_the_lane_as_soon_as_the_work_has_stopped(lane: Lane) -> None:
    runs = threading.Event()

    def until_stopped(stop: Stop) -> None:
        runs.set()
        if stop.wait(PATIENCE_S):
            raise Stopped("a call came")

    aside = asyncio.create_task(lane.aside(until_stopped))
    await asyncio.to_thread(reached, runs)
    with lane.claimed(None, 1.0):
        assert (await lane.run(lambda _: 2)).value == 2
    with pytest.raises(Stopped):
        await aside


async def test_who_no_longer_wants_it_stops_it(lane: Lane) -> None:
    runs, stopped = threading.Event(), threading.Event()

    def until_stopped(stop: Stop) -> None:
        runs.set()
        if stop.wait(PATIENCE_S):
            stopped.set()

    aside = asyncio.create_task(lane.aside(until_stopped))
    await asyncio.to_thread(reached, runs)
    aside.cancel()
    await asyncio.gather(aside, return_exceptions=True)
    await asyncio.to_thread(reached, stopped)


async def test_it_is_free_when_the_last_of_several_calls_has_ended(lane: Lane) -> None:
    with lane.claimed(None, 1.0):
        with lane.claimed(None, 1.0):
            assert not lane.free.is_set()
        assert not lane.free.is_set()
    assert lane.free.is_set()


async def test_calls_do_not_reckon_with_it(lane: Lane) -> None:
    runs, go_on = threading.Event(), threading.Event()

    def work(_: Stop) -> None:
        runs.set()
        reached(go_on)

    aside = asyncio.create_task(lane.aside(work))
    await asyncio.to_thread(reached, runs)
    assert (lane.wait_s(None), lane.busy) == (0.0, False)
    go_on.set()
    await aside
