"""How much slower (or faster) a machine runs now than when it was profiled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

# One error counts as no more than this (4.5 times), since a run that took 20 times as long was interrupted.
_MOST = 1.5
# An error beyond this many deviations and beyond this ratio is a surprise: at a spread of 8 % that is 1.3 times the
# time. Twice the time is a surprise at any spread.
# One surprise may be an accident. A second run that is nearer to the first than to the old belief shows that the
# machine has changed: where 1.0 was believed, runs of 3.0 and 2.5 make it 2.7, and runs of 3.0 and 1.1 do not.
_SURPRISE_DEVIATIONS = 3.0
_SURPRISE = math.log(1.25)
_ALWAYS_SURPRISES = math.log(2)
_LEAST_SPREAD = 0.05
_FIRST_VARIANCE = 0.1**2
# A machine's usual speed is learned over so many seconds without other load. So a disturbance of a few seconds that the
# sensors do not show hardly changes it. A pause counts as no more than _PAUSE_S.
_USUAL_S = 30.0
_PAUSE_S = 5.0
# An outcome younger than this is better than the sensors, whose readings are half a second old and rough.
_FRESH_S = 1.0
# Clocks are no finer than this, so that nothing takes less.
_TICK_S = 1e-9
# Where outcomes differed from what was expected, the difference is believed for about so long, and only while the
# machine looks as before: no longer once it is expected to run at 1.5 times the speed, or at 1/1.5.
_BELIEVED_S = 10.0
_LOOKS_DIFFERENT = math.log(1.5)
# While nothing runs, a factor above the one at the start is forgotten, since the calls that it keeps away cannot
# correct it. So the machine is tried again, at first within a minute or two. A run that finds the old factor doubles
# that time.
_FORGOTTEN_S = 30.0
_LONGEST_S = 480.0
# The slowdown expected from load and clock is right within this share of its logarithm.
_EXPECTED_SPREAD = 0.3


@dataclass(frozen=True)
class Speed:
    """How many times longer than profiled runs take, and the relative deviation of single runs."""

    value: float
    spread: float


class _Learned(NamedTuple):
    """At this time: the logarithm of the factor by outcomes, and the logarithm that was expected."""

    log: float
    expected: float
    time: float


class SpeedFactor:
    """Measured over profiled time, in the logarithm, so that 2x and 0.5x weigh the same.

    The factor has three parts: the machine's usual factor, which is learned slowly; how much slower than alone it is
    expected to run now (`sensing.machine.slowdown`), passed in with each outcome and each reading; and by how much the
    last outcomes differed from both. Fresh outcomes win; a second after the last one, a change of what is expected
    counts. So when another process took the CPU and left again, the factor is back at the usual one without a run.
    After minutes without outcomes, a usual factor slower than the one at the start returns to it, and so does the
    deviation. A faster one stays, since nothing keeps calls away that could correct it. The clock is passed in, in
    seconds.
    """

    def __init__(self, start: float = 1.0, *, memory: float = 0.7) -> None:
        self._start = self._usual = math.log(start)
        self._last = _Learned(self._usual, 0.0, 0.0)
        self._variance = _FIRST_VARIANCE
        self._forgotten_s = _FORGOTTEN_S
        self._memory = memory
        # The logarithm that a surprising run showed, and the one believed before it.
        self._surprise: tuple[float, float] | None = None
        self._samples = 0

    def read(self, now: float, expected: float = 1.0) -> Speed:
        """The factor now. `expected`: how many times longer than alone a run should take now."""
        kept = self._kept(now)
        usual = self._remembered(kept)
        log, doubt = self._at(math.log(expected), now, usual)
        # The true factor is either the old one or the one at the start.
        forgotten = _either(self._usual - self._start, kept) if usual < self._usual else 0.0
        variance = min(self._variance, _FIRST_VARIANCE + kept * (self._variance - _FIRST_VARIANCE))
        return Speed(math.exp(log), math.hypot(math.sqrt(variance), doubt, forgotten))

    def learn(self, *, measured_s: float, profiled_s: float, whole_s: float, now: float, expected: float = 1.0) -> None:
        """Take in one run. Runs under 50 µs say more about the scheduler than about the machine.

        `whole_s`: what the whole network takes in the profile. A run of a part of it counts as one of all of it, the
        rest of which took as long as is believed. For what disturbs a run takes as long in a short one as in a long
        one, so that the ratio of a short one says little.
        """
        if measured_s < _TICK_S or profiled_s < 50e-6:
            return
        looks = math.log(expected)
        rest_s = max(whole_s - profiled_s, 0.0)
        if rest_s:
            measured_s += rest_s * math.exp(self._at(looks, now, self._usual)[0])
        found = math.log(measured_s) - math.log(profiled_s + rest_s)
        self._recall(found - looks, now)
        believed = self._at(looks, now, self._usual)[0]
        self._learn_usual(found - looks, looks, now)
        self._last = _Learned(self._corrected(found, believed), looks, now)

    def _at(self, expected: float, now: float, usual: float) -> tuple[float, float]:
        """The logarithm of the factor, and its own uncertainty beside the deviation of single runs."""
        age = max(now - self._last.time, 0.0)
        change = expected - self._last.expected
        beyond = self._last.log - usual - self._last.expected
        weight = math.exp(-age / _BELIEVED_S) * max(1.0 - abs(change) / _LOOKS_DIFFERENT, 0.0)
        step = usual + expected + weight * beyond - self._last.log
        doubt = abs(_EXPECTED_SPREAD * change) + _either(beyond, weight)
        settled = -math.expm1(-age / _FRESH_S)
        return self._last.log + settled * step, settled * doubt

    def _kept(self, now: float) -> float:
        """The share of the old belief that is left after the silence since the last run."""
        return math.exp(-max(now - self._last.time - _BELIEVED_S, 0.0) / self._forgotten_s)

    def _remembered(self, kept: float) -> float:
        """The usual factor, as far as it is not forgotten."""
        return min(self._usual, self._start + kept * (self._usual - self._start))

    def _recall(self, found: float, now: float) -> None:
        """After a silence a run decides between the old usual factor and the one that has taken its place."""
        remembered = self._remembered(self._kept(now))
        if self._usual - remembered < _SURPRISE:
            return
        if abs(found - self._usual) < abs(found - remembered):
            self._forgotten_s = min(2 * self._forgotten_s, _LONGEST_S)
        else:
            self._usual, self._forgotten_s = remembered, _FORGOTTEN_S

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
        # Under other load it is too uncertain how much of the time is due to that load.
        self._usual += weight * math.exp(-4 * abs(looks)) * _bounded(found - self._usual)


def _either(apart: float, chance: float) -> float:
    """The deviation of a figure that has one of two values this far apart, one of them with this chance."""
    return abs(apart) * math.sqrt(chance * (1 - chance))


def _bounded(error: float) -> float:
    return max(-_MOST, min(_MOST, error))
