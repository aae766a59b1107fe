"""The watchdog: tells the service manager that the daemon gets on, and only while it does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from collabd.systemd.notify import notify

# A single job may take long: a network of hundreds of megabytes comes from a memory card, and is run for the first
# time, in one. With WatchdogSec=30 that may last two minutes; an event loop that hangs is found after 30 s.
_PERIODS_A_JOB = 4

P = ParamSpec("P")
T = TypeVar("T")


class Worker(ThreadPoolExecutor):
    """One thread for what is heavy, that knows when it last finished something (`time.monotonic`)."""

    def __init__(self, name: str) -> None:
        super().__init__(1, thread_name_prefix=name)
        self.finished_at = time.monotonic()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the base class does."""
        return super().submit(self._noting_the_end, fn, *args, **kwargs)

    def _noting_the_end(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return fn(*args, **kwargs)
        finally:
            self.finished_at = time.monotonic()


async def watchdog(worker: Worker) -> None:
    """Ping until cancelled, as long as `worker` finishes jobs; returns where the service manager wants no pings.

    So that it has something to finish while nobody calls, it is given a job of nothing, which waits for its turn.
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
    """What the unit calls WatchdogSec; None: the service manager keeps no watch over this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC")
    return None if microseconds is None else int(microseconds) / 1e6


def _nothing() -> None:
    pass
