"""How often a background task looks: often while somebody needs what it finds, seldom while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress


class Attention:
    """The pace of one background task; times are in seconds.

    It looks every `busy_s`. When nobody has paid attention for `quiet_s`, it looks every `idle_s`, and at once when
    somebody pays attention again.
    """

    def __init__(self, *, busy_s: float, idle_s: float, quiet_s: float, clock: Callable[[], float]) -> None:
        self._busy_s = busy_s
        self._idle_s = idle_s
        self._quiet_s = quiet_s
        self._clock = clock
        # When somebody last needed what the task finds.
        self.paid_at = clock()
        self._paid = asyncio.Event()

    def pay(self) -> None:
        """Somebody needs what the task finds. Called by the thread of the event loop."""
        self.paid_at = self._clock()
        self._paid.set()

    async def next_look(self, *, within_s: float | None = None) -> None:
        """Wait until it is time to look again. `within_s`: the task has something to do then, if it is not quiet."""
        if self._clock() - self.paid_at < self._quiet_s:
            await asyncio.sleep(self._busy_s if within_s is None else min(within_s, self._busy_s))
            return
        self._paid.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._idle_s):
                await self._paid.wait()
