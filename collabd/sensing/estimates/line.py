"""A straight line learned from noisy samples, forgetting old ones: seconds against bytes, or against pixels.

It uses recursive weighted least squares. The prior counts as a fraction of a sample, so the first real sample outweighs
it. Yet it separates offset from slope, where all samples have one size.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

# The noise of one sample: a few per cent of its value, and the jitter of clock and scheduler.
_NOISE_RATIO = 0.05
_NOISE_S = 3e-4
# A sample that is off by more deviations than this, and by more than this share, means that the world has changed.
_SHIFT_DEVIATIONS = 4.0
_SHIFT_SHARE = 0.2
# Then the old belief keeps so little weight that it may be wrong by this many times the error of the sample.
_DOUBT_AFTER_SHIFT = 3.0


class Line:
    """seconds = offset + slope * quantity, both not negative."""

    def __init__(self, *, offset: float, slope: float, scale: float, memory: float) -> None:
        """Start from a guess. `scale`: a typical quantity; `memory`: the weight that samples keep at each next."""
        self._scale = scale
        self._memory = memory
        guess = np.array([offset, slope * scale])
        weight = 1.0 / (guess + _NOISE_S) ** 2
        # The guess is known to within a factor of a few. It is never forgotten: where all samples have one size, it
        # alone separates offset from slope.
        self._prior_information = np.diag(weight) * 0.05
        self._prior_moment = self._prior_information @ guess
        self._information = np.zeros((2, 2))
        self._moment = np.zeros(2)
        self._spread = 0.5
        self.samples = 0

    @property
    def offset(self) -> float:
        """Seconds at quantity zero."""
        return float(self._solution()[0])

    @property
    def slope(self) -> float:
        """Seconds for each unit of quantity."""
        return float(self._solution()[1]) / self._scale

    @property
    def spread(self) -> float:
        """Relative deviation of samples from the line."""
        return self._spread

    def at(self, quantity: float) -> float:
        """Seconds expected for `quantity`."""
        offset, slope = self._solution()
        return float(offset + slope * quantity / self._scale)

    def learn(self, quantity: float, seconds: float) -> None:
        """Take in one sample. A sample that is far off takes most weight from the earlier ones."""
        if not (seconds > 0 and math.isfinite(seconds)):
            return
        expected = self.at(quantity)
        error = abs(seconds - expected)
        deviation = max(self._spread, _NOISE_RATIO) * expected + _NOISE_S
        shifted = self.samples > 1 and error > _SHIFT_DEVIATIONS * deviation and error > _SHIFT_SHARE * expected
        row = np.array([1.0, quantity / self._scale])
        self._forget(self._doubt(row, error) if shifted else self._memory)
        weight = 1.0 / (_NOISE_RATIO * seconds + _NOISE_S) ** 2
        self._information += weight * np.outer(row, row)
        self._moment += weight * seconds * row
        relative = abs(seconds - self.at(quantity)) / seconds if shifted else error / max(expected, _NOISE_S)
        self._spread = math.sqrt(self._memory * self._spread**2 + (1 - self._memory) * min(relative, 2.0) ** 2)
        self.samples += 1

    def _doubt(self, row: Vector, error: float) -> float:
        variance = float(row @ np.linalg.solve(self._prior_information + self._information, row))
        return min(variance / (_DOUBT_AFTER_SHIFT * error) ** 2, self._memory)

    def _forget(self, memory: float) -> None:
        self._information *= memory
        self._moment *= memory

    def _solution(self) -> Vector:
        information = self._prior_information + self._information
        moment = self._prior_moment + self._moment
        solution = np.linalg.solve(information, moment)
        if solution.min() >= 0:
            return np.asarray(solution)
        # The best line has a negative coefficient: take the better of the lines where one coefficient is zero.
        negative = int(solution.argmin())
        other = 1 - negative
        bound = np.zeros(2)
        bound[other] = max(moment[other] / information[other, other], 0.0)
        return bound
