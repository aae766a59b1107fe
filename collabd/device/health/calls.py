"""What is wrong with the calls to a model as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from collabd.device.counters import Deadlines
from collabd.health.conditions import Code, Sighting
from collabd.health.growth import Growth

# Plans keep a deadline with 98 % probability, as they come. Five times as many misses are no bad luck, if there were
# enough calls to tell.
_MISSED = 0.1
_LEAST_CALLS = 20
_WINDOW_S = 120.0


class DeadlineSense:
    """Of all models, by the counts of their calls."""

    def __init__(self, counts: Callable[[], Mapping[str, Deadlines]], clock: Callable[[], float]) -> None:
        self._counts = counts
        self._clock = clock
        self._growth: dict[str, Growth] = {}

    def __call__(self) -> Iterator[Sighting]:
        """The models whose calls miss their deadlines."""
        now = self._clock()
        for model, counts in self._counts().items():
            growth = self._growth.setdefault(model, Growth(_WINDOW_S))
            calls, missed = growth.of(now, counts.calls, counts.missed)
            if calls >= _LEAST_CALLS and missed > _MISSED * calls:
                yield Sighting(
                    code=Code.DEADLINE_MISSES,
                    about=model,
                    what=f"{missed} of the last {calls} calls to {model} with a deadline missed it",
                )
