"""The exchanges in flight to a companion. All of them end at once when the companion is found dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collabd.device.companions.failures import CompanionFailure, FailureReason


class InFlight:
    """The exchanges in flight to the companion `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ends: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Run one exchange inside. Raises `CompanionFailure` as soon as `end` is called."""
        try:
            async with asyncio.timeout(None) as end:
                self._ends.add(end)
                try:
                    yield
                finally:
                    self._ends.discard(end)
        except TimeoutError as error:
            why = f"collabd gave {self._name} up meanwhile, because other exchanges with it failed"
            raise CompanionFailure(FailureReason.ABANDONED, why) from error

    def end(self) -> None:
        """Fail all exchanges in flight now."""
        now = asyncio.get_running_loop().time()
        for end in self._ends:
            if not end.expired():
                end.reschedule(now)
