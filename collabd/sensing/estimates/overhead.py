"""What a call takes beside its phases: reading it, planning, changing threads, packing its answer, asking a companion.

Each kind of cost is learned on its own, as a base and seconds a byte. So a plan is charged with what it causes itself,
and with nothing else.
"""

from __future__ import annotations

import math
from enum import Enum, auto

# Of each error so much is learned, more from the first calls.
_STEP = 0.1
_FIRST_CALLS = 5
# An error counts as no more than this share of what was expected, since the call may have been held up by something
# else. So it is rather the median that is learned than the mean.
_MOST_ERROR = 0.5
# The first calls show how far off the first guess is.
_FIRST_MOST_ERROR = 4.0
# A typical size in bytes: at this one, the base and the bytes learn equally.
_TYPICAL_BYTES = 100e3
_LEAST_S = 1e-5
# Calls that come together slow one another. After the last of them that holds for a second, and then fades.
_FRESH_S = 1.0
_CROWDED_S = 2.0
# What was learned to be slower than guessed is forgotten when no call comes, since it may be what keeps calls away.
_FORGOTTEN_S = 60.0


class Overhead:
    """One kind of cost, by size. Times are seconds of `now`.

    The usual cost is learned only from calls that had the daemon to themselves. By how much recent calls exceed it is
    learned from all calls, and fades with time. So the effect of a burst ends soon after it.
    """

    def __init__(self, *, base_s: float = 1e-3, s_per_byte: float = 0.0) -> None:
        """Start from a guess."""
        self._first = base_s, s_per_byte
        self._base_s, self._s_per_byte = base_s, s_per_byte
        self._late_s = 0.0
        self._learned_at = -math.inf
        self._calls = 0

    @property
    def is_learned(self) -> bool:
        """Whether it is more than a guess."""
        return self._calls > 0

    def at(self, now: float, nbytes: float = 0.0) -> float:
        """Seconds that a call of this size which comes now will most likely take."""
        age_s = max(now - self._learned_at, 0.0)
        late_s = self._late_s * math.exp(-max(age_s - _FRESH_S, 0.0) / _CROWDED_S)
        return max(self.usual_s(now, nbytes) + late_s, _LEAST_S)

    def usual_s(self, now: float, nbytes: float = 0.0) -> float:
        """Seconds that a call of this size takes if it is alone."""
        base_s, s_per_byte = self.line(now)
        return base_s + s_per_byte * nbytes

    def line(self, now: float) -> tuple[float, float]:
        """The usual base in seconds, and seconds for each byte."""
        kept = math.exp(-max(now - self._learned_at, 0.0) / _FORGOTTEN_S)
        first_s, first_per_byte = self._first
        return (
            min(self._base_s, first_s + kept * (self._base_s - first_s)),
            min(self._s_per_byte, first_per_byte + kept * (self._s_per_byte - first_per_byte)),
        )

    def learn(self, seconds: float, now: float, nbytes: float = 0.0, *, alone: bool) -> None:
        """Take in one call. `alone`: no other call was under way meanwhile."""
        if not math.isfinite(seconds):
            return
        seconds, expected_s = max(seconds, 0.0), self.at(now, nbytes)
        late_s = expected_s - self.usual_s(now, nbytes)
        if alone:
            self._late_s = (1 - _STEP) * late_s
            self._learn_usual(seconds, nbytes)
        else:
            # It may double, so that a burst is noticed soon, but one call that was held up is no burst.
            self._late_s = late_s + _STEP * (min(seconds, 2 * expected_s) - expected_s)
        self._learned_at = now

    def _learn_usual(self, seconds: float, nbytes: float) -> None:
        self._calls += 1
        expected_s = max(self._base_s + self._s_per_byte * nbytes, _LEAST_S)
        most_s = expected_s * (_FIRST_MOST_ERROR if self._calls <= _FIRST_CALLS else _MOST_ERROR)
        error_s = min(max(seconds - expected_s, -most_s), most_s)
        size = nbytes / _TYPICAL_BYTES
        step_s = max(_STEP, 1 / (self._calls + 1)) * error_s / (1 + size * size)
        self._base_s = max(self._base_s + step_s, 0.0)
        self._s_per_byte = max(self._s_per_byte + step_s * size / _TYPICAL_BYTES, 0.0)


class Way(Enum):
    """What the device does with a call: it finishes it alone, asks a companion, sends the file as it came, or runs
    nothing, since the answer is inherited."""

    ALONE = auto()
    ASKS = auto()
    SENDS_FILE = auto()
    INHERITS = auto()


class Overheads:
    """The costs of all kinds. `of_file`: whether the caller gave a file, else pixels.

    `served`: what the daemon takes for any call, by the size of what the caller sent. Where the device waits for a
    companion in between, a processor that is busy or throttled recovers, so each way of a call has costs of its own.
    `caller`: what the caller takes itself, its SDK and the socket; `asking`: what asking a companion takes on the
    device, by the bytes sent there.
    """

    def __init__(self) -> None:
        self._served = {(of_file, way): Overhead() for of_file in (True, False) for way in Way}
        self._caller = {of_file: Overhead(base_s=5e-4) for of_file in (True, False)}
        self._asking = Overhead(base_s=5e-4)

    def of_call_s(self, now: float, nbytes: float, *, of_file: bool, way: Way = Way.ALONE) -> float:
        """Seconds that a plan which goes this way takes beside its phases, for a call of this kind and size.

        Of a way that no call went yet, as much is expected as of another.
        """
        ways = (way, *Way)
        served = next((self._served[of_file, each] for each in ways if self._served[of_file, each].is_learned), None)
        return (served or self._served[of_file, way]).at(now, nbytes) + self._caller[of_file].usual_s(now, nbytes)

    def of_asking(self, now: float) -> tuple[float, float]:
        """Seconds that a plan takes in addition if it asks a companion: for each exchange, and for each byte sent."""
        return self._asking.line(now)

    def learn_served(self, seconds: float, now: float, nbytes: float, *, of_file: bool, way: Way, alone: bool) -> None:
        """Take in what the daemon took for a call."""
        self._served[of_file, way].learn(seconds, now, nbytes, alone=alone)

    def learn_caller(self, seconds: float, now: float, nbytes: float, *, of_file: bool, alone: bool) -> None:
        """Take in what a caller said that it took."""
        self._caller[of_file].learn(seconds, now, nbytes, alone=alone)

    def learn_asking(self, seconds: float, now: float, nbytes: float, *, alone: bool) -> None:
        """Take in what asking a companion took."""
        self._asking.learn(seconds, now, nbytes, alone=alone)
