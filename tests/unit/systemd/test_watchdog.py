"""Pings come while the worker gets on, and only then."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collabd.systemd.watchdog import watchdog
from collabd.worker import Worker
from tests.patience import PATIENCE_S, reached

PERIOD_S = 0.02


@pytest.fixture
def worker() -> Iterator[Worker]:
    it = Worker("test")
    yield it
    it.shutdown(cancel_futures=True)


@pytest.fixture
def watched(manager: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`async with watched(worker)`: as under WatchdogSec=20ms."""
    monkeypatch.setenv("WATCHDOG_USEC", str(round(PERIOD_S * 1e6)))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    @asynccontextmanager
    async def watching(*workers: Worker) -> AsyncIterator[None]:
        task = asyncio.create_task(watchdog(workers))
        try:
            yield
        finally:
            task.cancel()

    return watching


async def until_silent(manager: Any) -> None:
    """Pings stop: none comes for ten periods."""
    for _ in range(200):
        manager.waiting()
        await asyncio.sleep(10 * PERIOD_S)
        if not manager.waiting():
            return
    raise AssertionError("it goes on pinging")


async def test_an_idle_worker_gets_on(worker: Worker, watched: Any, manager: Any) -> None:
    async with watched(worker):
        assert [await asyncio.to_thread(manager.next) for _ in range(5)] == [b"WATCHDOG=1"] * 5


async def test_a_busy_worker_gets_on(worker: Worker, watched: Any, manager: Any) -> None:
    """However many jobs wait before ours."""
    enough = threading.Event()

    def job() -> None:
        if not enough.wait(PERIOD_S):
            worker.submit(job)

    for _ in range(30):
        worker.submit(job)
    async with watched(worker):
        for _ in range(10):
            assert await asyncio.to_thread(manager.next) == b"WATCHDOG=1"
    enough.set()


async def test_a_stuck_worker_does_not(worker: Worker, watched: Any, manager: Any) -> None:
    release = threading.Event()
    async with watched(worker):
        assert await asyncio.to_thread(manager.next) == b"WATCHDOG=1"
        worker.submit(reached, release)
        await until_silent(manager)
        release.set()
        assert await asyncio.to_thread(manager.next) == b"WATCHDOG=1"


async def test_one_stuck_worker_of_several_is_enough(worker: Worker, manager: Any, watched: Any) -> None:
    other = Worker("other")
    release = threading.Event()
    try:
        async with watched(worker, other):
            assert await asyncio.to_thread(manager.next) == b"WATCHDOG=1"
            other.submit(reached, release)
            await until_silent(manager)
            release.set()
            assert await asyncio.to_thread(manager.next) == b"WATCHDOG=1"
    finally:
        release.set()
        other.shutdown(cancel_futures=True)


async def test_failing_is_getting_on(worker: Worker) -> None:
    before = worker.finished_at
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 / 0).result(PATIENCE_S)
    worker.submit(int).result(PATIENCE_S)
    assert worker.finished_at > before


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
async def test_who_is_not_watched_does_not_ping(
    worker: Worker, manager: Any, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    await asyncio.wait_for(watchdog([worker]), PATIENCE_S)
    assert manager.waiting() == []
