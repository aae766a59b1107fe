"""How much slower (or faster) a machine runs now than when it was profiled."""

from __future__ import annotations

import math


class SpeedFactor:
    """Measured over profiled time, averaged in the logarithm with forgetting, so that 2x and 0.5x weigh the same."""

    def __init__(self, start: float = 1.0, *, memory: float = 0.7) -> None:
        self._log = math.log(start)
        self._variance = 0.1**2
        self._memory = memory

    @property
    def value(self) -> float:
        """Times longer than profiled."""
        return math.exp(self._log)

    @property
    def spread(self) -> float:
        """Relative deviation of single runs from it."""
        return math.sqrt(self._variance)

    def learn(self, *, measured_s: float, profiled_s: float) -> None:
        """Take in one run. Runs under 50 µs say more about the scheduler than about the machine."""
        if measured_s <= 0 or profiled_s < 50e-6:
            return
        # One run that was 20x slower was interrupted; it must not look like a machine 20x slower.
        error = max(-1.5, min(1.5, math.log(measured_s) - math.log(profiled_s) - self._log))
        self._log += (1 - self._memory) * error
        self._variance = self._memory * self._variance + (1 - self._memory) * error**2
