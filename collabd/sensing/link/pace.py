"""The seconds that a byte takes over a link that changes: a Kalman filter on their logarithm.

The pace is modelled as an Ornstein-Uhlenbeck process: a link that was slow a moment ago is still slow, and some time
later it is most likely as usual. So an estimate without new samples returns to the usual pace while its variance grows,
and a link that was left alone after a bad moment is tried again. The filter works on the logarithm, since links change
by factors: 2x and 0.5x weigh the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt

# The rate of a mobile link stays similar for seconds, not for minutes.
_COHERENCE_S = 5.0
# Before the first transfer the pace is known to within a factor of a few.
_FIRST_DEVIATION = 1.5
_FIRST_SCATTER = 0.3
# The deviation of transfers on the steadiest link, and the most that is assumed: a third differ by more than 7x.
_LEAST_DEVIATION = 0.05
_MOST_DEVIATION = 2.0
# A transfer that is off by more deviations than this means that the link has changed, and is believed.
_SHIFT_DEVIATIONS = 4.0
# A transfer that is off by more than this may be an accident. If the next one is nearer to it than to the estimate, the
# link has changed.
_SURPRISE_DEVIATIONS = 2.0
# A transfer may be late by so much for a reason that is not the link: a program had to wait for its turn.
_HICCUP_S = 5e-3
# Of one transfer no more deviations than this count as scatter; only several in a row that are far off show more.
_SCATTER_DEVIATIONS = 2.0
# When nothing has moved for minutes, not even a probe, a usual pace slower than the first guess is forgotten, since
# it may be the reason why nothing is sent.
_KNOWN_S = 120.0
_FORGOTTEN_S = 120.0
# The weight of one transfer in the usual pace, once there were many, if it is independent of the transfer before.
_USUAL_GAIN = 0.1


@dataclass(frozen=True)
class Pace:
    """The median of seconds a byte, and the relative deviation of single transfers from it."""

    s_per_byte: float
    spread: float


class PaceFilter:
    """Learns the pace from transfers. Times are seconds of any clock that does not go back."""

    def __init__(self, s_per_byte: float, memory: float) -> None:
        """Start from a guess. `memory`: the weight that the spread so far keeps when the next transfer comes."""
        self._first = self._level = self._usual = log(s_per_byte)
        self._variance = self._usual_variance = _FIRST_DEVIATION**2
        # The variance of single transfers around the pace, since packets come in bursts.
        self._scatter = _FIRST_SCATTER**2
        self._memory = memory
        self._at = -inf
        # What the last transfer found, if it was a surprise.
        self._surprise: float | None = None
        self._news = 0.0
        self.samples = 0

    def at(self, now: float) -> Pace:
        """What a transfer that starts now would most likely find."""
        level, variance = self._aged(now)
        deviation = sqrt(variance + self._scatter + _LEAST_DEVIATION**2)
        return Pace(exp(level), min(deviation, _MOST_DEVIATION))

    def learn(self, nbytes: float, seconds: float, *, unsure_s: float, now: float) -> None:
        """Take in the seconds for which bytes moved, known to within `unsure_s`. Figures that cannot be are ignored.

        Seconds below `unsure_s` say only that it took no longer, which is news if longer was expected.
        """
        if not (-inf < seconds < inf and 1 <= nbytes < inf):
            return
        level, variance = self._aged(now)
        found = log(max(seconds, unsure_s)) - log(nbytes)
        error = found - level
        if seconds < unsure_s and error > 0:
            return
        scatter = self._scatter + _LEAST_DEVIATION**2
        # The timing is as unsure on a link that was believed slow, of which it then says much.
        doubt = variance + scatter + (unsure_s / max(seconds, exp(level) * nbytes, unsure_s)) ** 2
        late_s = seconds - exp(level) * nbytes
        hiccup = 0 < late_s < _HICCUP_S
        if self.samples > 0 and self._has_shifted(found, level, doubt, hiccup=hiccup):
            variance += error**2
        unsure = (max(unsure_s, late_s if hiccup else 0.0) / max(seconds, unsure_s)) ** 2
        gain = variance / (variance + scatter + unsure)
        self._level = level + gain * error
        self._variance = (1 - gain) * variance
        self._at = now
        self._note_usual(gain)
        # The first transfer differs from a guess, and not from what the link did before.
        if self.samples > 0:
            self._note_scatter(min(error**2, _SCATTER_DEVIATIONS**2 * (variance + scatter + unsure)) - unsure)
        self.samples += 1

    def _has_shifted(self, found: float, level: float, doubt: float, *, hiccup: bool) -> bool:
        """Whether a transfer shows that the link has changed: by itself, or since the one before said the same."""
        before, self._surprise = self._surprise, None
        error = abs(found - level)
        if error > _SHIFT_DEVIATIONS * sqrt(doubt) and not hiccup:
            return True
        if before is not None and abs(found - before) < min(error, abs(before - level)):
            return True
        if error > _SURPRISE_DEVIATIONS * sqrt(doubt):
            self._surprise = found
        return False

    def _aged(self, now: float) -> tuple[float, float]:
        age_s = max(now - self._at, 0.0) if self.samples else 0.0
        keeps = exp(-age_s / _COHERENCE_S)
        known = exp(-max(age_s - _KNOWN_S, 0.0) / _FORGOTTEN_S)
        usual = min(self._usual, self._first + known * (self._usual - self._first))
        level = usual + keeps * (self._level - usual)
        return level, keeps**2 * self._variance + (1 - keeps**2) * self._usual_variance

    def _note_usual(self, news: float) -> None:
        """`news` 0..1: the share of the uncertainty that a transfer removed; right after another it removes little."""
        self._news += news
        gain = news * max(1 / max(self._news, 1.0), _USUAL_GAIN)
        self._usual += gain * (self._level - self._usual)
        seen = (self._level - self._usual) ** 2 + self._variance
        self._usual_variance += gain * (seen - self._usual_variance)

    def _note_scatter(self, squared_error: float) -> None:
        """Take all of a squared error for scatter: it is better to be too unsure than too sure."""
        weight = max(1 - self._memory, 1 / (self.samples + 1))
        self._scatter += weight * (max(squared_error, 0.0) - self._scatter)
