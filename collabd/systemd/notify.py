"""What a daemon tells the service manager, sd_notify(3). Without a service manager nothing is told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

import sdnotify

_STATUS_EVERY_S = 1.0


def notify(*assignments: str) -> None:
    """Tell the service manager these assignments in one message."""
    if "NOTIFY_SOCKET" in os.environ:
        _notifier(os.environ["NOTIFY_SOCKET"]).notify("\n".join(assignments))


@asynccontextmanager
async def ready() -> AsyncIterator[None]:
    """Tell that the daemon is ready, and on leaving that it stops."""
    notify("READY=1")
    try:
        yield
    finally:
        notify("STOPPING=1", "STATUS=finishing the calls in progress")


@asynccontextmanager
async def reloading() -> AsyncIterator[None]:
    """Tell that the configuration is read anew, and on leaving that this is over."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


async def keep_status(line: Callable[[], str]) -> None:
    """Until cancelled: show `line()` in `systemctl status`, each time that it has changed."""
    shown = ""
    while True:
        text = line()
        if text != shown:
            notify(f"STATUS={text}")
            shown = text
        await asyncio.sleep(_STATUS_EVERY_S)


@cache
def _notifier(_address: str) -> sdnotify.SystemdNotifier:
    notifier = sdnotify.SystemdNotifier()
    if notifier.socket is not None:
        # A manager that does not read, with its queue full, must not stop the daemon: what does not fit is not told.
        notifier.socket.setblocking(False)
    return notifier
