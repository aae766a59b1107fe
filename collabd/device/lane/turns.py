"""Decides which work runs next on the lane.

Users take turns. Among the work of one user, the earliest deadline goes first, and then the earliest arrival.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Hashable
from contextvars import ContextVar
from itertools import count

# The user whose call the current task answers.
USER: ContextVar[Hashable] = ContextVar("user", default=None)
# Work without a deadline counts as due 1 s after it arrived. So urgent work passes it, but not for ever.
_PATIENT_S = 1.0


def due_at(now_s: float, due_s: float | None) -> float:
    """The deadline of work that arrived at `now_s`, in seconds. `due_s` None: the work has no deadline of its own."""
    return now_s + _PATIENT_S if due_s is None else due_s


class Turns:
    """One piece of work holds the turn, and the others wait. All times are the event loop's, in seconds.

    The next turn goes to the user who was served longest ago. So a user waits for at most one piece of each
    other user's work, whatever deadlines the others set.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting: dict[Hashable, list[tuple[float, int, asyncio.Future[None]]]] = {}
        # For each user who waits, and for the user of the last turn: the number of the user's last turn.
        self._served: dict[Hashable, int] = {}
        self._order = count(1)

    def take_now(self) -> bool:
        """Hold the turn, if nobody does. Returns whether it is held; then `pass_on` must follow."""
        if self._held:
            return False
        self._held = True
        self._note(USER.get())
        return True

    async def take(self, due_s: float | None, takes_s: float) -> None:
        """Wait for the turn, and hold it; `pass_on` must follow.

        Work that takes `takes_s` seconds and would miss `due_s` even now counts as work without a deadline.
        """
        user, now_s = USER.get(), asyncio.get_running_loop().time()
        hopeless = due_s is not None and due_s < now_s + takes_s
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = due_at(now_s, None if hopeless else due_s), next(self._order), called
        heapq.heappush(self._waiting.setdefault(user, []), place)
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Give the turn to the work that is next."""
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
