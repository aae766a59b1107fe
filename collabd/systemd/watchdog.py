"""The watchdog: tells the service manager that the daemon makes progress, and stops telling when it does not."""

from __future__ import annotations

import asyncio
import os
import time

from collabd.systemd.notify import notify
from collabd.worker import Worker

# How many periods of the watchdog one job may take. One job reads a network of hundreds of megabytes from a memory card
# and runs it for the first time. With WatchdogSec=30 it has two minutes; an event loop that hangs is found after 30 s.
_PERIODS_A_JOB = 4


async def watchdog(worker: Worker) -> None:
    """Send pings while `worker` finishes jobs, until cancelled. Returns at once if the service manager wants no pings.

    While nobody calls, the worker is given empty jobs, so that it has something to finish.
    """
    period_s = _period_s()
    if period_s is None:
        return
    proof = worker.submit(_nothing)
    while True:
        await asyncio.sleep(period_s / 2)
        if time.monotonic() - worker.finished_at <= _PERIODS_A_JOB * period_s:
            notify("WATCHDOG=1")
        if proof.done():
            proof = worker.submit(_nothing)


def _period_s() -> float | None:
    """WatchdogSec of the unit, in seconds; None: the service manager does not watch this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC")
    return None if microseconds is None else int(microseconds) / 1e6


def _nothing() -> None:
    pass
