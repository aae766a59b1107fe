"""Who is next on the lane: whoever is due first; among those who are due at no time, whoever came first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

# Work without a deadline is as urgent as if it were due so long after it came: it makes way, but not for ever.
_PATIENT_S = 1.0


def due_at(now_s: float, due_s: float | None) -> float:
    """When work counts as due that came now; None: it has no deadline."""
    return now_s + _PATIENT_S if due_s is None else due_s


class Turns:
    """One holds the turn, the others wait; times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    @asynccontextmanager
    async def turn(self, due_s: float | None, takes_s: float) -> AsyncIterator[None]:
        """Wait for the turn, and hold it; `due_s` counts unless work that takes so long would miss it in any case."""
        now_s = asyncio.get_running_loop().time()
        hopeless = due_s is not None and due_s < now_s + takes_s
        await self._take(due_at(now_s, None if hopeless else due_s))
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, due_s: float) -> None:
        if not self._held:
            self._held = True
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (due_s, next(self._order), called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, called = heapq.heappop(self._waiting)
            if not called.done():
                called.set_result(None)
                return
        self._held = False
