"""How long bytes take over a link that changes, as an extended Kalman filter on two logarithms.

seconds = exp(a) + bytes * exp(b). The offset a (round trip, protocol) drifts slowly; the slope b (inverse rate) is an
Ornstein-Uhlenbeck process: a link that was slow a moment ago is slow now, and in a while most likely as it usually is.
So an estimate that nothing refreshes returns to the long-run one, while its variance grows, and what was given up for a
bad moment is tried again. Logarithms, because links are wrong by factors: 2x and 0.5x weigh the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

# The rate of a mobile link keeps to itself for seconds, not minutes.
_COHERENCE_S = 5.0
# The offset may drift by a tenth in ten seconds.
_DRIFT_PER_S = 0.1**2 / 10
# Before the first sample, offset and slope are known to within a factor of a few.
_FIRST_DEVIATION = 1.5
_FIRST_SCATTER = 0.3
# What the clock and the scheduler add, and what exchanges differ by on the steadiest link.
_JITTER_S = 3e-4
_LEAST_DEVIATION = 0.05
# Of the variance of samples most is their own luck (packets come in bursts), and the rest the link's change.
_OWN_SHARE = 0.8
# A sample further off than this many deviations means that the world has changed: what was usual is half forgotten.
_SHIFT_DEVIATIONS = 4.0
# Then the rate is to blame, and only if that explains little, the offset.
_OFFSET_DOUBT = 0.25
# A sample's weight in what is usual, once there are many.
_USUAL_GAIN = 0.01
_AS_LONG_AGAIN = 2.0
_ITERATIONS = 3


@dataclass(frozen=True)
class Estimate:
    """Medians: seconds at zero bytes, seconds a byte; and the relative deviation of single exchanges from them."""

    offset_s: float
    s_per_byte: float
    spread: float


class Transfer:
    """Learns from exchanges. Times are seconds of any clock that does not go back."""

    def __init__(self, *, offset_s: float, s_per_byte: float, memory: float) -> None:
        """Start from a guess; `memory` is the weight that the spread so far keeps when the next sample comes."""
        self._a, self._b = log(offset_s), log(s_per_byte)
        self._usual = self._b
        self._usual_variance = _FIRST_DEVIATION**2
        self._paa, self._pab, self._pbb = _FIRST_DEVIATION**2, 0.0, _FIRST_DEVIATION**2
        self._variance = _FIRST_SCATTER**2
        self._memory = memory
        self._at = -inf
        self._since_shift = 0
        self.samples = 0

    def estimate(self, now: float) -> Estimate:
        """What an exchange that starts now would most likely find."""
        b, _, _, pbb = self._aged(now)
        return Estimate(exp(self._a), exp(b), sqrt(min(pbb + self._noise(inf), 4.0)))

    def learn(self, nbytes: float, seconds: float, now: float) -> None:
        """Take in one exchange; what is no duration is left out."""
        if not (0 < seconds < inf and isfinite(nbytes) and nbytes >= 0):
            return
        self._b, self._paa, self._pab, self._pbb = self._aged(now)
        self._at = now
        error, noise = self._error(nbytes, seconds), self._noise(seconds)
        if self.samples and error**2 > _SHIFT_DEVIATIONS**2 * (self._pbb + noise):
            self._doubt(error)
        self._correct(nbytes, seconds, noise)
        # What the first sample is off by says how good the guess was, and nothing of how far samples scatter.
        self._note(error if self.samples else self._error(nbytes, seconds))

    def learn_at_least(self, nbytes: float, seconds: float, now: float) -> None:
        """An exchange that was given up after so long: it says something only where it should have ended before.

        Waits for a link that hangs have heavy tails: what has lasted so long is taken to last as long again.
        """
        known = self.estimate(now)
        if seconds > known.offset_s + nbytes * known.s_per_byte:
            self.learn(nbytes, _AS_LONG_AGAIN * seconds, now)

    def _aged(self, now: float) -> tuple[float, float, float, float]:
        age = max(now - self._at, 0.0) if self.samples else 0.0
        keeps = exp(-age / _COHERENCE_S)
        b = self._usual + keeps * (self._b - self._usual)
        pbb = keeps**2 * self._pbb + (1 - keeps**2) * self._usual_variance
        return b, self._paa + age * _DRIFT_PER_S, keeps * self._pab, pbb

    def _error(self, nbytes: float, seconds: float) -> float:
        return log(seconds / (exp(self._a) + nbytes * exp(self._b)))

    def _noise(self, seconds: float) -> float:
        """The variance of a sample's own luck."""
        return _LEAST_DEVIATION**2 + _OWN_SHARE * self._variance + (_JITTER_S / seconds) ** 2

    def _doubt(self, error: float) -> None:
        self._paa += (_OFFSET_DOUBT * error) ** 2
        self._pbb += error**2
        self._since_shift = 1

    def _correct(self, nbytes: float, seconds: float, noise: float) -> None:
        """The filter's update, iterated because the logarithm of a sum is not linear."""
        a0, b0, a, b = self._a, self._b, self._a, self._b
        for _ in range(_ITERATIONS):
            fixed, moving = exp(a), nbytes * exp(b)
            ga = fixed / (fixed + moving)
            gb = 1 - ga
            va, vb = self._paa * ga + self._pab * gb, self._pab * ga + self._pbb * gb
            total = va * ga + vb * gb + noise
            off = log(seconds / (fixed + moving)) - ga * (a0 - a) - gb * (b0 - b)
            a, b = a0 + va / total * off, b0 + vb / total * off
        self._a, self._b = a, b
        self._paa -= va * va / total
        self._pab -= va * vb / total
        self._pbb -= vb * vb / total

    def _note(self, error: float) -> None:
        """What is usual, and how far single samples are off."""
        self.samples += 1
        self._since_shift += 1
        gain = max(1 / self._since_shift, _USUAL_GAIN)
        self._usual += gain * (self._b - self._usual)
        seen = (self._b - self._usual) ** 2 + self._pbb
        self._usual_variance += gain * (seen - self._usual_variance)
        weight = max(1 - self._memory, 1 / (self.samples + 1))
        self._variance += weight * (min(error**2, 4.0) - self._variance)
