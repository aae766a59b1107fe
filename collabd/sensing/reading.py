"""What every sensor hands out: a reading with its time and spread, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """There is no reading, for this reason. Neither zero nor false may stand for it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[Value_co]):
    """A value as it was at `time` (seconds of the clock that the caller passed in).

    `spread` is one standard deviation in the unit of the value; for flags and words it is 0.
    """

    value: Value_co
    time: float
    spread: float

    def age(self, now: float) -> float:
        """Seconds since the reading was taken."""
        return now - self.time


Measured: TypeAlias = Reading[Value] | NotMeasured


def gather(values: Iterable[Value | NotMeasured]) -> list[Value] | NotMeasured:
    """All of `values`, or the first that is not measured."""
    gathered = []
    for value in values:
        if isinstance(value, NotMeasured):
            return value
        gathered.append(value)
    return gathered


class Smoother:
    """The mean of a quantity that fluctuates. The weight of samples falls exponentially with their age."""

    def __init__(self, *, memory_s: float, first_spread: float) -> None:
        """`first_spread`: by which share of its value a single sample may be off."""
        self._memory_s = memory_s
        self._first_spread = first_spread
        self._mean = 0.0
        self._variance = 0.0
        self._time: float | None = None

    def learn(self, value: float, now: float) -> Reading[float]:
        """Take in one sample. Returns the mean, with the deviation of the samples around it."""
        if self._time is None:
            self._mean = value
            self._variance = (self._first_spread * value) ** 2
        else:
            weight = -math.expm1(-max(now - self._time, 0.0) / self._memory_s)
            error = value - self._mean
            self._mean += weight * error
            self._variance = (1 - weight) * (self._variance + weight * error**2)
        self._time = now
        return Reading(self._mean, now, math.sqrt(self._variance))


class Every:
    """Says when to read a source again that costs too much to be read at every sample."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = -math.inf

    def due(self, now: float) -> bool:
        """Whether it is time to read; if so, the next time is `seconds` after `now`."""
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
