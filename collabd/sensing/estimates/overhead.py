"""What a call takes beside its phases: reading it, planning, changing threads, and packing its answer."""

from __future__ import annotations

import math

# Assumed until the first call: it is a millisecond or two on any machine.
_FIRST_S = 1e-3
_STEP = 0.1
# A call counts as no more than so many times the mean, since it may have been held up by something else.
_MOST = 2.0
# Calls that come together slow one another. After the last of them that holds for a second, and then fades.
_FRESH_S = 1.0
_CROWDED_S = 2.0
# The usual overhead is forgotten when no call comes, since it may be what keeps calls away.
_FORGOTTEN_S = 60.0


class Overhead:
    """A mean that follows calls slowly, and those that took far longer hardly at all. Times are seconds of `now`.

    There are two means. The usual one is learned only from calls that had the daemon to themselves. The recent one is
    learned from all calls, and returns to the usual one with time. So the effect of a burst ends soon after it.
    """

    def __init__(self) -> None:
        self._usual_s = self._late_s = _FIRST_S
        self._learned_at = -math.inf

    def at(self, now: float) -> float:
        """Seconds that a call which comes now will most likely take."""
        age_s = max(now - self._learned_at, 0.0)
        usual_s = min(self._usual_s, _faded(self._usual_s, _FIRST_S, age_s / _FORGOTTEN_S))
        return _faded(self._late_s, usual_s, max(age_s - _FRESH_S, 0.0) / _CROWDED_S)

    def learn(self, seconds: float, now: float, *, alone: bool) -> None:
        """Take in one call. `alone`: no other call was under way meanwhile."""
        self._late_s = _stepped(self.at(now), seconds)
        if alone:
            self._usual_s = _stepped(self._usual_s, seconds)
        self._learned_at = now


def _stepped(mean_s: float, seconds: float) -> float:
    step_s = _STEP * (min(max(seconds, 0.0), _MOST * mean_s) - mean_s)
    # A mean of zero could not grow again.
    return max(mean_s + step_s, 1e-5)


def _faded(value: float, towards: float, ages: float) -> float:
    return towards + (value - towards) * math.exp(-ages)
