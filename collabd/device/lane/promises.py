"""When tails must start on the lane at the latest, so that every call keeps its deadline whatever the companion does.

A link fails for all calls at once, and the lane runs their tails one after another. So the moment of one depends on the
others: of two calls that are both due in 100 ms, with tails of 30 ms, one must start after 40 ms, the other after 70.
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
    """The calls that wait for a companion with a deadline; times are the event loop's, in seconds.

    `backlog_s` says how long a tail that starts now would wait for other work.
    """

    def __init__(self, backlog_s: Callable[[], float]) -> None:
        self._backlog_s = backlog_s
        self.open: list[_Promise] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def made(self, due_s: float, tail_s: float) -> Iterator[asyncio.Future[None]]:
        """Around the wait of a call that is due then, and whose tail takes `tail_s` here.

        The future is done when the tail must start; never where that is too late already, and nothing is promised.
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
        """See who must start, and wake up for the next; to be called whenever there is more work before them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.open:
            return
        loop = asyncio.get_running_loop()
        now_s, wake_s = loop.time(), math.inf
        free_s = now_s + self._backlog_s()
        for promise, start_s in self._starts():
            # As long as the lane is free in time, one that waits behind other work gains nothing by waiting there.
            if start_s <= max(now_s, free_s - _ROUNDING_S):
                self.open.remove(promise)
                promise.must_start.set_result(None)
                free_s += promise.tail_s
            else:
                wake_s = min(wake_s, start_s)
        if wake_s < math.inf:
            self._timer = loop.call_at(wake_s, self.look)

    def _starts(self) -> list[tuple[_Promise, float]]:
        """From the last to be due back to the first: each ends when it is due, or when the next one must start."""
        starts, next_s = [], math.inf
        for promise in sorted(self.open, key=lambda each: each.due_s, reverse=True):
            next_s = min(promise.due_s, next_s) - promise.tail_s
            starts.append((promise, next_s))
        return starts[::-1]
