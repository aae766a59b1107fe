"""Lanes: who may take one, and who has the machine for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from collabd.cloud.lanes import Lanes
from tests.patience import PATIENCE_S


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    it = Lanes(2, cores=4)
    yield it
    await asyncio.to_thread(it.shutdown)


async def test_lanes_share_the_cores(lanes: Lanes) -> None:
    assert (lanes.count, lanes.cores, lanes.cores_each, lanes.busy) == (2, 4, 2, 0)
    first, second = lanes.take(), lanes.take()
    assert first is not None
    assert second is not None
    assert lanes.take() is None
    told = []
    lanes.freed = lambda: told.append(lanes.busy)
    lanes.give_back(first)
    assert told == [1]
    # What it needs is still in the caches of its core.
    assert lanes.take() is first


async def test_who_is_alone_waits_for_the_lanes_and_they_wait_for_it(lanes: Lanes) -> None:
    running = lanes.take()
    assert running is not None
    began, release, order = threading.Event(), threading.Event(), []

    def work() -> str:
        began.set()
        assert release.wait(PATIENCE_S)
        return "done"

    lanes.freed = lambda: order.append("freed")
    alone = asyncio.create_task(lanes.alone(work))
    await asyncio.sleep(0.01)
    assert lanes.take() is None
    assert not began.is_set()
    lanes.give_back(running)
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    assert lanes.take() is None
    assert order == []
    release.set()
    assert await alone == "done"
    assert order == ["freed"]
    assert lanes.take() is not None


async def test_who_no_longer_wants_to_be_alone_holds_up_nobody(lanes: Lanes) -> None:
    began, release = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert release.wait(PATIENCE_S)

    first = asyncio.create_task(lanes.alone(work))
    waiting = asyncio.create_task(lanes.alone(int))
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    waiting.cancel()
    first.cancel()
    await asyncio.sleep(0.01)
    # Its thread works on.
    assert not first.done()
    assert lanes.take() is None
    release.set()
    await asyncio.gather(first, waiting, return_exceptions=True)
    assert lanes.take() is not None


async def test_an_error_is_told_and_the_lanes_go_on(lanes: Lanes) -> None:
    with pytest.raises(ZeroDivisionError):
        await lanes.alone(lambda: 1 // 0)
    assert lanes.take() is not None
