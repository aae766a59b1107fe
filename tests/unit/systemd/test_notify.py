"""What the service manager is told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from collabd.systemd.notify import keep_status, notify, ready, reloading


def test_nobody_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


async def test_ready_and_stopping(manager: Any) -> None:
    async with ready():
        assert manager.next() == b"READY=1"
    assert b"STOPPING=1" in manager.next().split(b"\n")


async def test_a_reload_says_when_it_began_and_that_it_is_over(manager: Any) -> None:
    before = time.monotonic_ns() // 1000
    async with reloading():
        state, clock = manager.next().split(b"\n")
        assert state == b"RELOADING=1"
        assert before <= int(clock.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert manager.next() == b"READY=1"


async def test_the_status_is_told_when_it_changes(manager: Any) -> None:
    lines = iter(["one", "one", "two", "two", "two", "one"])
    task = asyncio.create_task(keep_status(lambda: next(lines, "end"), every_s=0.001))
    told = [await asyncio.to_thread(manager.next) for _ in range(4)]
    task.cancel()
    assert told == [b"STATUS=one", b"STATUS=two", b"STATUS=one", b"STATUS=end"]
    assert manager.waiting() == []


def test_a_manager_that_does_not_read_stops_nobody(manager: Any) -> None:
    most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2
    for turn in range(2 * most):
        notify(f"STATUS={turn}")  # blocks for ever if it waits for room
    told = manager.waiting()
    assert told[0] == b"STATUS=0"
    assert len(told) <= most
