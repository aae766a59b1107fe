"""The watchdog: tells the service manager that the daemon makes progress, and stops telling when it does not."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

from collabd.systemd.notify import notify
from collabd.worker import Worker

# How many periods of the watchdog one job may take. One job reads a network of hundreds of megabytes from a memory card
# and runs it for the first time. With WatchdogSec=30 it has two minutes; an event loop that hangs is found after 30 s.
_PERIODS_A_JOB = 4


async def watchdog(workers: Sequence[Worker]) -> None:
    """Send pings while all `workers` finish jobs, until cancelled. Returns at once if the manager wants no pings.

    While nobody calls, the workers are given empty jobs, so that they have something to finish.
    """
    period_s = _period_s()
    if period_s is None:
        return
    proofs = [worker.submit(_nothing) for worker in workers]
    while True:
        await asyncio.sleep(period_s / 2)
        if time.monotonic() - min(worker.finished_at for worker in workers) <= _PERIODS_A_JOB * period_s:
            notify("WATCHDOG=1")
        proofs = [
            worker.submit(_nothing) if proof.done() else proof for worker, proof in zip(workers, proofs, strict=True)
        ]


def _period_s() -> float | None:
    """WatchdogSec of the unit, in seconds; None: the service manager does not watch this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC")
    return None if microseconds is None else int(microseconds) / 1e6


def _nothing() -> None:
    pass
