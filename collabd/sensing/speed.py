"""How much slower (or faster) a machine runs now than when it was profiled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

# Of one error no more than this (4.5 times) is believed: a run that took 20 times as long was interrupted.
_MOST = 1.5
# An error beyond this many deviations, and beyond this ratio, is a surprise: at a spread of 8 %, 1.3 times the time;
# twice the time is one at any spread.
# One may be an accident. A second one that is nearer to the first than to what was believed before shows that the
# machine has changed: 1.0 believed, then runs of 3.0 and 2.5, is 2.7 now; runs of 3.0 and 1.1 are not.
_SURPRISE_DEVIATIONS = 3.0
_SURPRISE = math.log(1.25)
_ALWAYS_SURPRISES = math.log(2)
_LEAST_SPREAD = 0.05
# Running in the quiet, a machine's usual speed is learned over this time, so that a few seconds of a disturbance that
# the sensors do not show hardly change it. A pause counts as no more than _PAUSE_S of it.
_USUAL_S = 30.0
_PAUSE_S = 5.0
# An outcome younger than this knows better than the sensors, whose readings are half a second old and rough.
_FRESH_S = 1.0
# Clocks count no finer; less is no time that anything took.
_TICK_S = 1e-9
# What outcomes showed beyond what was expected is believed for about so long, and as long as the machine looks as it
# did: not at all once it is expected to run at 1.5 times the speed, or at 1/1.5.
_BELIEVED_S = 10.0
_LOOKS_DIFFERENT = math.log(1.5)
# What is expected of load and clock is right within this share of its logarithm.
_EXPECTED_SPREAD = 0.3


@dataclass(frozen=True)
class Speed:
    """Times longer than profiled, and the relative deviation of single runs from it."""

    value: float
    spread: float


class _Learned(NamedTuple):
    """The logarithm of the factor as outcomes had it, the logarithm expected then, and when."""

    log: float
    expected: float
    time: float


class SpeedFactor:
    """Measured over profiled time, in the logarithm, so that 2x and 0.5x weigh the same.

    It is made of three: the machine's usual factor, learned slowly; how much slower than alone it is expected to run
    at the moment (`sensing.slowdown`), passed in with each outcome and each reading; and what the last outcomes were
    off from both. So fresh outcomes win; where none came in for a second, a change of the expected factor counts.
    Another process took the CPU and left again: the factor is back at the usual one, without a run. The clock is
    passed in, in seconds.
    """

    def __init__(self, start: float = 1.0, *, memory: float = 0.7) -> None:
        self._usual = math.log(start)
        self._last = _Learned(self._usual, 0.0, 0.0)
        self._variance = 0.1**2
        self._memory = memory
        # Of a surprising run: its logarithm, and the one believed before it.
        self._surprise: tuple[float, float] | None = None
        self._samples = 0

    def read(self, now: float, expected: float = 1.0) -> Speed:
        """The factor now; `expected`: times longer than alone."""
        log, doubt = self._at(math.log(expected), now)
        return Speed(math.exp(log), math.hypot(math.sqrt(self._variance), doubt))

    def learn(self, *, measured_s: float, profiled_s: float, now: float, expected: float = 1.0) -> None:
        """Take in one run. Runs under 50 µs say more about the scheduler than about the machine."""
        if measured_s < _TICK_S or profiled_s < 50e-6:
            return
        looks = math.log(expected)
        found, believed = math.log(measured_s) - math.log(profiled_s), self._at(looks, now)[0]
        self._learn_usual(found - looks, looks, now)
        self._last = _Learned(self._corrected(found, believed), looks, now)

    def _at(self, expected: float, now: float) -> tuple[float, float]:
        """The logarithm of the factor, and how far it may be off beside the deviation of single runs."""
        age = max(now - self._last.time, 0.0)
        change = expected - self._last.expected
        beyond = self._last.log - self._usual - self._last.expected
        weight = math.exp(-age / _BELIEVED_S) * max(1.0 - abs(change) / _LOOKS_DIFFERENT, 0.0)
        step = self._usual + expected + weight * beyond - self._last.log
        doubt = abs(_EXPECTED_SPREAD * change) + abs((1 - weight) * beyond) / 2
        settled = -math.expm1(-age / _FRESH_S)
        return self._last.log + settled * step, settled * doubt

    def _corrected(self, found: float, believed: float) -> float:
        error = found - believed
        first, self._surprise = self._surprise, None
        if first is not None and abs(found - first[0]) < min(abs(found - first[1]), abs(first[0] - first[1])):
            self._variance = max(abs(found - first[0]) / 2, _LEAST_SPREAD) ** 2
            return (found + first[0]) / 2
        if abs(error) > min(max(_SURPRISE_DEVIATIONS * math.sqrt(self._variance), _SURPRISE), _ALWAYS_SURPRISES):
            self._surprise = found, believed
        error = _bounded(error)
        self._variance = self._memory * self._variance + (1 - self._memory) * error**2
        return believed + (1 - self._memory) * error

    def _learn_usual(self, found: float, looks: float, now: float) -> None:
        passed = min(max(now - self._last.time, 0.0), _PAUSE_S) if self._samples else 0.0
        self._samples += 1
        weight = max(-math.expm1(-passed / _USUAL_S), 1 / (self._samples + 1))
        # Amid other load, how far that slows a run is too uncertain to tell the usual speed.
        self._usual += weight * math.exp(-4 * abs(looks)) * _bounded(found - self._usual)


def _bounded(error: float) -> float:
    return max(-_MOST, min(_MOST, error))
