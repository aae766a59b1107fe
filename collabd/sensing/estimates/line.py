"""A straight line learned from noisy samples, forgetting old ones: seconds against bytes, or against pixels.

It uses recursive weighted least squares. The prior counts as a fraction of a sample, so the first real sample outweighs
it. Yet it separates offset from slope, where all samples have one size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# The noise of one sample: a few per cent of its value, and the jitter of clock and scheduler.
_NOISE_RATIO = 0.05
_NOISE_S = 3e-4
# A sample that is off by more deviations than this, and by more than this share, means that the world has changed.
_SHIFT_DEVIATIONS = 4.0
_SHIFT_SHARE = 0.2
# Then the old belief keeps so little weight that it may be wrong by this many times the error of the sample.
_DOUBT_AFTER_SHIFT = 3.0
# The guess counts as this share of a sample.
_GUESS_SHARE = 0.05


class _Evidence(NamedTuple):
    """The weighted sums of the least squares: of 1, x, x * x, y and x * y, where x is in units of the scale."""

    one: float
    x: float
    xx: float
    y: float
    xy: float

    def plus(self, other: _Evidence) -> _Evidence:
        return _Evidence(
            self.one + other.one, self.x + other.x, self.xx + other.xx, self.y + other.y, self.xy + other.xy
        )

    def times(self, factor: float) -> _Evidence:
        return _Evidence(self.one * factor, self.x * factor, self.xx * factor, self.y * factor, self.xy * factor)

    @property
    def determinant(self) -> float:
        return self.one * self.xx - self.x * self.x

    def best(self) -> tuple[float, float]:
        """Offset and slope of the best line of which neither is negative."""
        offset = (self.xx * self.y - self.x * self.xy) / self.determinant
        slope = (self.one * self.xy - self.x * self.y) / self.determinant
        if offset >= 0 and slope >= 0:
            return offset, slope
        # The better of the lines where one coefficient is zero.
        return (0.0, max(self.xy / self.xx, 0.0)) if offset <= slope else (max(self.y / self.one, 0.0), 0.0)

    def variance_at(self, x: float) -> float:
        return (self.xx - 2 * self.x * x + self.one * x * x) / self.determinant


_NOTHING = _Evidence(0.0, 0.0, 0.0, 0.0, 0.0)


class Line:
    """seconds = offset + slope * quantity, both not negative."""

    def __init__(self, *, offset: float, slope: float, scale: float, memory: float) -> None:
        """Start from a guess. `scale`: a typical quantity; `memory`: the weight that samples keep at each next."""
        self._scale = scale
        self._memory = memory
        # The guess is known to within a factor of a few. It is never forgotten: where all samples have one size, it
        # alone separates offset from slope.
        sure, rises = (_GUESS_SHARE / (guess + _NOISE_S) ** 2 for guess in (offset, slope * scale))
        self._guess = _Evidence(sure, 0.0, rises, sure * offset, rises * slope * scale)
        self._learned = _NOTHING
        self._offset, self._slope = offset, slope * scale
        self._spread = 0.5
        self.samples = 0

    @property
    def offset(self) -> float:
        """Seconds at quantity zero."""
        return self._offset

    @property
    def slope(self) -> float:
        """Seconds for each unit of quantity."""
        return self._slope / self._scale

    @property
    def spread(self) -> float:
        """Relative deviation of samples from the line."""
        return self._spread

    def at(self, quantity: float) -> float:
        """Seconds expected for `quantity`."""
        return self._offset + self._slope * quantity / self._scale

    def learn(self, quantity: float, seconds: float) -> None:
        """Take in one sample. A sample that is far off takes most weight from the earlier ones."""
        if not (seconds > 0 and math.isfinite(seconds)):
            return
        expected, x = self.at(quantity), quantity / self._scale
        error = abs(seconds - expected)
        deviation = max(self._spread, _NOISE_RATIO) * expected + _NOISE_S
        shifted = self.samples > 1 and error > _SHIFT_DEVIATIONS * deviation and error > _SHIFT_SHARE * expected
        # Not of the sample itself, where the line is known: the fastest of noisy samples would count most.
        usual = seconds if shifted or not self.samples else expected
        weight = 1.0 / (_NOISE_RATIO * usual + _NOISE_S) ** 2
        sample = _Evidence(weight, weight * x, weight * x * x, weight * seconds, weight * x * seconds)
        self._learned = self._learned.times(self._doubt(x, error) if shifted else self._memory).plus(sample)
        self._offset, self._slope = self._guess.plus(self._learned).best()
        relative = abs(seconds - self.at(quantity)) / seconds if shifted else error / max(expected, _NOISE_S)
        self._spread = math.sqrt(self._memory * self._spread**2 + (1 - self._memory) * min(relative, 2.0) ** 2)
        self.samples += 1

    def _doubt(self, x: float, error: float) -> float:
        variance = self._guess.plus(self._learned).variance_at(x)
        return min(variance / (_DOUBT_AFTER_SHIFT * error) ** 2, self._memory)
