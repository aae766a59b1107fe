"""What a call takes beside its parts: to be read, planned, passed from thread to thread, and its answer wrapped up."""

from __future__ import annotations

import math

# Until a call has shown it: a millisecond or two on any machine.
_FIRST_S = 1e-3
_STEP = 0.1
# Calls that were held up by something else say little of the next.
_MOST = 2.0
# What calls take from one another is gone soon after the last of them: a second later it fades.
_FRESH_S = 1.0
_CROWDED_S = 2.0
# What is usual is forgotten where no call comes, since it may be what keeps calls away.
_FORGOTTEN_S = 60.0


class Overhead:
    """A mean that follows slowly, and calls that took far longer hardly at all. The clock is passed in, in seconds.

    It is made of two: what is usual, which only calls tell that had the daemon to themselves, and the mean of late, of
    all calls, which returns to the usual as it ages. So a burst is over when its last call is.
    """

    def __init__(self) -> None:
        self._usual_s = self._late_s = _FIRST_S
        self._learned_at = -math.inf

    def at(self, now: float) -> float:
        """Seconds to expect of a call that comes now."""
        age_s = max(now - self._learned_at, 0.0)
        usual_s = min(self._usual_s, _faded(self._usual_s, _FIRST_S, age_s / _FORGOTTEN_S))
        return _faded(self._late_s, usual_s, max(age_s - _FRESH_S, 0.0) / _CROWDED_S)

    def learn(self, seconds: float, now: float, *, alone: bool) -> None:
        """Take in one call; `alone`: no other was under way meanwhile."""
        self._late_s = _stepped(self.at(now), seconds)
        if alone:
            self._usual_s = _stepped(self._usual_s, seconds)
        self._learned_at = now


def _stepped(mean_s: float, seconds: float) -> float:
    step_s = _STEP * (min(max(seconds, 0.0), _MOST * mean_s) - mean_s)
    # Never nothing, else it could not grow again.
    return max(mean_s + step_s, 1e-5)


def _faded(value: float, towards: float, ages: float) -> float:
    return towards + (value - towards) * math.exp(-ages)
