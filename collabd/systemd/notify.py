"""What a daemon tells the service manager, by sd_notify(3). Without a service manager all of this does nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

import sdnotify

_STATUS_EVERY_S = 5.0


def notify(*assignments: str) -> None:
    """Send the service manager these assignments in one message."""
    if "NOTIFY_SOCKET" in os.environ:
        _notifier(os.environ["NOTIFY_SOCKET"]).notify("\n".join(assignments))


@asynccontextmanager
async def ready() -> AsyncIterator[None]:
    """Say that the daemon is ready; on leaving the context, that it stops."""
    notify("READY=1")
    try:
        yield
    finally:
        notify("STOPPING=1", "STATUS=finishing the calls in progress")


@asynccontextmanager
async def reloading() -> AsyncIterator[None]:
    """Say that the configuration is being read again; on leaving the context, that this is done."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


def stopping_takes(seconds: float) -> None:
    """Say that the daemon, which has been told to stop, needs so long, whatever `TimeoutStopSec=` says."""
    notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")


async def keep_status(line: Callable[[], str], *, every_s: float = _STATUS_EVERY_S) -> None:
    """Show `line()` in `systemctl status` whenever it has changed, until cancelled. Looks every `every_s`."""
    shown = ""
    while True:
        text = line()
        if text != shown:
            notify(f"STATUS={text}")
            shown = text
        await asyncio.sleep(every_s)


@cache
def _notifier(_address: str) -> sdnotify.SystemdNotifier:
    notifier = sdnotify.SystemdNotifier()
    if notifier.socket is not None:
        # A manager that does not read must not stop the daemon: once its queue is full, messages are dropped.
        notifier.socket.setblocking(False)
    return notifier
