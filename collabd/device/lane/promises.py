"""Finds the latest time at which each local tail must start, so that every call keeps its deadline.

When a link fails, it fails for all calls at once, and the lane runs their tails one after another. So the latest start
of one tail depends on the others. Example: two calls are both due in 100 ms, and each tail takes 30 ms. One tail must
start after 40 ms, the other after 70 ms.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ROUNDING_S = 1e-6


@dataclass(frozen=True, eq=False)
class _Promise:
    due_s: float
    tail_s: float
    must_start: asyncio.Future[None]


class Promises:
    """The calls that have a deadline and wait for a companion. All times are the event loop's, in seconds.

    `backlog_s` returns how long a tail that starts now would wait for other work on the lane.
    """

    def __init__(self, backlog_s: Callable[[], float]) -> None:
        self._backlog_s = backlog_s
        self.open: list[_Promise] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def made(self, due_s: float, tail_s: float) -> Iterator[asyncio.Future[None]]:
        """Wait inside for the companion, for a call that is due at `due_s` and whose local tail takes `tail_s`.

        The future is done when the tail must start. If it is too late for the tail already, the future is never done.
        """
        loop = asyncio.get_running_loop()
        promise = _Promise(due_s, tail_s, loop.create_future())
        if due_s - tail_s > loop.time():
            self.open.append(promise)
            self.look()
        try:
            yield promise.must_start
        finally:
            promise.must_start.cancel()
            if promise in self.open:
                self.open.remove(promise)

    def look(self) -> None:
        """Start the tails that must start now, and set a timer for the next. Call this whenever the backlog grows."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.open:
            return
        loop = asyncio.get_running_loop()
        now_s, wake_s = loop.time(), math.inf
        free_s = now_s + self._backlog_s()
        for promise, start_s in self._starts():
            # While the backlog ends before a tail's latest start, the tail gains nothing by joining the backlog now.
            if start_s <= max(now_s, free_s - _ROUNDING_S):
                self.open.remove(promise)
                promise.must_start.set_result(None)
                free_s += promise.tail_s
            else:
                wake_s = min(wake_s, start_s)
        if wake_s < math.inf:
            self._timer = loop.call_at(wake_s, self.look)

    def _starts(self) -> list[tuple[_Promise, float]]:
        """The latest start of each tail, the first to be due first.

        Each tail must end when its call is due, or earlier, when the next tail must start.
        """
        starts, next_s = [], math.inf
        for promise in sorted(self.open, key=lambda each: each.due_s, reverse=True):
            next_s = min(promise.due_s, next_s) - promise.tail_s
            starts.append((promise, next_s))
        return starts[::-1]
