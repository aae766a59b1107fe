"""Who is next on the lane: users in turn; of one user's work what is due first, then what came first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count

# Whose call is being answered.
USER: ContextVar[Hashable] = ContextVar("user", default=None)
# Work without a deadline is as urgent as if it were due so long after it came: it makes way, but not for ever.
_PATIENT_S = 1.0


def due_at(now_s: float, due_s: float | None) -> float:
    """When work counts as due that came now; None: it has no deadline."""
    return now_s + _PATIENT_S if due_s is None else due_s


class Turns:
    """One holds the turn, the others wait; times are the event loop's, in seconds.

    Next is the user who has not been served for longest: whatever deadlines one user sets, another's work waits for one
    piece of it.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting: dict[Hashable, list[tuple[float, int, asyncio.Future[None]]]] = {}
        # When each of those who wait, and who had the last turn, was served.
        self._served: dict[Hashable, int] = {}
        self._order = count(1)

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
        user = USER.get()
        if not self._held:
            self._held = True
            self._note(user)
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting.setdefault(user, []), (due_s, next(self._order), called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            user = min(self._waiting, key=lambda user: self._served.get(user, 0))
            _, _, called = heapq.heappop(self._waiting[user])
            if not self._waiting[user]:
                del self._waiting[user]
            if not called.done():
                self._note(user)
                called.set_result(None)
                return
        self._held = False

    def _note(self, user: Hashable) -> None:
        self._served = {known: at for known, at in self._served.items() if known in self._waiting}
        self._served[user] = next(self._order)
