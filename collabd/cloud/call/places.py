"""Places in the queue: who may wait for the engine, and when those should come again who may not.

A device that was refused comes again when it was told to, and finds places kept for it. Otherwise whoever is in would
take each place again at once, and those who heed what they are told would never find one.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from collab_sdk.errors import Overloaded
from collabd.fair_shares import most_for

# No more than this share of the queue is kept for devices that were refused: those who are here must not wait idly.
_KEPT = 0.75
# A device that is to come in 4 s comes in 3 to 5: those who were refused together do not come back together.
_JITTER = 0.25
_LEAST_S, _MOST_S = 1.0, 30.0
# A device that comes so much later than it was told to finds no place kept for it.
_LATE_S = 2.0
# So many devices are remembered.
_REMEMBERED = 1024
# The weight of the latest run in the mean time of a request.
_NEWEST = 0.1


class QueuePlace:
    """One request's, from before its inputs are decoded until its answer."""

    __slots__ = ("_begun", "device", "runs")

    def __init__(self, device: str | None, begun: Callable[[str | None], None]) -> None:
        self.device = device
        # Whether it is being computed, and so waits no longer.
        self.runs = False
        self._begun = begun

    def begin(self) -> None:
        """It runs now."""
        if not self.runs:
            self.runs = True
            self._begun(self.device)


class Places:
    """At most `most` requests wait. Those that run are beside that."""

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[float, float], float] = random.uniform,  # noqa: S311  nobody gains by guessing it
    ) -> None:
        self._most = most
        self._clock = clock
        self._chance = chance
        self._waiting: Counter[str | None] = Counter()
        # Each device's requests that hold a place, those that run among them.
        self._taken: Counter[str | None] = Counter()
        # When the devices come again that were refused last, in the order in which they were refused first.
        self._refused: dict[str, float] = {}
        # The mean time from the end of one request to the end of the next, while there are enough of them.
        self._request_s = 0.0

    @property
    def waiting(self) -> int:
        """Requests that are admitted and do not run yet."""
        return self._waiting.total()

    @property
    def taken(self) -> int:
        """Requests that hold a place, those that run among them."""
        return self._taken.total()

    def check_room(self, device: str | None, patience_s: float | None = None) -> None:
        """Raises `Overloaded` where one more request of this device finds no place.

        `patience_s`: rather than wait longer for other devices it is refused; None: it waits as long as it takes.
        """
        if patience_s is not None:
            self._check_patience(device, patience_s)
        now, own = self._clock(), self._waiting[device]
        if own >= most_for(device, self._most):
            # It has all that it may have, so nothing is kept for it.
            raise self._refusal(self._after_s(self.waiting))
        self._forget(now)
        before = [due for _, due in takewhile(lambda each: each[0] != device, self._refused.items())]
        if self.waiting + self._kept(before, now) >= self._most:
            wait_s = self._after_s(self.waiting + len(before))
            if device is not None and len(before) < _REMEMBERED:
                self._refused[device] = now + wait_s
            raise self._refusal(wait_s)

    @contextmanager
    def held(self, device: str | None = None) -> Iterator[QueuePlace]:
        """Hold a place, from before the inputs are decoded until the answer. Raises `Overloaded`."""
        self.check_room(device)
        if device is not None:
            self._refused.pop(device, None)
        self._waiting[device] += 1
        self._taken[device] += 1
        place = QueuePlace(device, self._no_longer_waits)
        try:
            yield place
        finally:
            self._taken -= Counter({device: 1})
            if not place.runs:
                self._no_longer_waits(device)

    def ran(self, request_s: float) -> None:
        """Note how much of the machine's time a request took."""
        self._request_s += (request_s - self._request_s) * (_NEWEST if self._request_s else 1.0)

    def _check_patience(self, device: str | None, patience_s: float) -> None:
        others = self.taken - (0 if device is None else self._taken[device])
        wait_s = others * self._request_s
        if wait_s > patience_s:
            # The queue is not full, so those who are here are through soon.
            told = {"queue": self.waiting, "retry_after_s": round(self._some(wait_s), 6)}
            raise Overloaded(f"{others} requests of others come first, longer than this one waits", told)

    def _no_longer_waits(self, device: str | None) -> None:
        self._waiting -= Counter({device: 1})

    def _forget(self, now: float) -> None:
        gone = [device for device, due in self._refused.items() if now > due + _LATE_S]
        for device in gone:
            del self._refused[device]

    def _kept(self, before: Sequence[float], now: float) -> int:
        """The places kept for those `before` whoever asks now, if they come before the queue of now is through."""
        until = now + self.waiting * self._request_s
        return min(sum(due <= until for due in before), int(_KEPT * self._most))

    def _after_s(self, before: int) -> float:
        """When a request should come again that has so many others before it."""
        wait_s = before * self._request_s
        return min(max(self._some(wait_s), _LEAST_S), _MOST_S)

    def _some(self, wait_s: float) -> float:
        return self._chance(1 - _JITTER, 1 + _JITTER) * wait_s

    def _refusal(self, wait_s: float) -> Overloaded:
        told = {"queue": self.waiting, "retry_after_s": round(wait_s, 3)}
        return Overloaded(f"{self.waiting} requests already wait; try again later", told)
