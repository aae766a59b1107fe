"""When each device should ping again, so that the pings of all devices together take little of the companion."""

from __future__ import annotations

import time
from collections.abc import Hashable

from collabd.clock import Clock

# A ping takes about 0.3 ms of the event loop: all of them together up to 1.5 % of a core.
_PER_S = 50.0
# No device is told to wait for longer. Those that find no moment before that come at any.
_MOST_S = 60.0


class PingSlots:
    """Gives each device a moment of its own, so many in a second.

    A device pings once a second while it calls. Up to fifty never wait for their moment. Of 5,000 each pings once a
    minute; between its pings it learns from its calls.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        # The moments to come, in their order.
        self._slots: dict[Hashable, float] = {}

    def again_s(self, device: Hashable) -> float:
        """In how many seconds this device, which has pinged, should ping again."""
        now = self._clock()
        while self._slots and self._slots[first := next(iter(self._slots))] <= now:
            del self._slots[first]
        if device not in self._slots:
            slot = max(self._last, now) + 1 / _PER_S
            if slot > now + _MOST_S:
                return _MOST_S
            self._last = self._slots[device] = slot
        return self._slots[device] - now
