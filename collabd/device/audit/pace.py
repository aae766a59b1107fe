"""How much of the device audits may take, and what they have taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from collabd.clock import Clock


class Taken:
    """What audits have taken since the daemon started.

    `core_s`: seconds of a core. `pictures`: how many were counted; `copies`: how many were like one counted before.
    """

    def __init__(self) -> None:
        self.core_s = 0.0
        self.pictures = 0
        self.copies = 0


class AuditPace:
    """Keeps audits to a `share` of a core, and to times when energy is `allowed`."""

    def __init__(
        self, share: float, taken: Taken, *, allowed: Callable[[], bool], asleep_s: float = 30.0, clock: Clock
    ) -> None:
        """`asleep_s`: after so many seconds it is looked again whether energy is allowed."""
        self._share = share
        self._taken = taken
        self._allowed = allowed
        self._asleep_s = asleep_s
        self._clock = clock
        self._rests_until = clock()

    def spent(self, core_s: float) -> None:
        """Work took so many seconds of a core. The next must wait until that was no more than the share."""
        self._taken.core_s += core_s
        self.asked(core_s)

    def asked(self, seconds: float) -> None:
        """A companion was asked for so long. The next work must wait as if that had taken a core."""
        self._rests_until = max(self._rests_until, self._clock()) + seconds / self._share

    def pause(self, seconds: float) -> None:
        """Let nothing begin for so long."""
        self._rests_until = max(self._rests_until, self._clock() + seconds)

    async def rest(self) -> None:
        """Wait until the next piece of work may begin."""
        while True:
            if (rests_s := self._rests_until - self._clock()) > 0:
                await asyncio.sleep(rests_s)
            elif self._allowed():
                return
            else:
                await asyncio.sleep(self._asleep_s)
