"""Whether a daemon has room for what it is asked to do: places for requests, memory for the sessions of its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from collabd.clock import Clock
from collabd.health.conditions import Code, Sighting
from collabd.health.growth import Growth

_REFUSED = 0.05
_LEAST_REFUSED = 5
_REFUSED_WINDOW_S = 60.0
# One in ten seconds. Each costs a session that is built again, which takes tens of milliseconds on a Pi.
_EVICTED = 30
_EVICTED_WINDOW_S = 300.0


class RefusalSense:
    """`counts`: all requests since the start, and those of them that found no room."""

    def __init__(self, counts: Callable[[], tuple[int, int]], clock: Clock) -> None:
        self._counts = counts
        self._clock = clock
        self._growth = Growth(_REFUSED_WINDOW_S)

    def __call__(self) -> Iterator[Sighting]:
        """Whether too many find none."""
        requests, refused = self._growth.of(self._clock(), *self._counts())
        if refused >= _LEAST_REFUSED and refused > _REFUSED * requests:
            yield Sighting(
                code=Code.OVERLOADED, what=f"{refused} of the last {requests} requests were refused for want of room"
            )


class EvictionSense:
    """`count`: the sessions that the engine has evicted since the start."""

    def __init__(self, count: Callable[[], int], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._growth = Growth(_EVICTED_WINDOW_S)

    def __call__(self) -> Iterator[Sighting]:
        """Whether they go in turns."""
        (evicted,) = self._growth.of(self._clock(), self._count())
        if evicted >= _EVICTED:
            yield Sighting(
                code=Code.SESSIONS_EVICTED, what=f"the engine has dropped {evicted} sessions in the last five minutes"
            )
