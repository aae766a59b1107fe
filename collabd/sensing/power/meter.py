"""The interface of all instruments that measure power."""

from __future__ import annotations

import math
from typing import Protocol

from collabd.sensing.reading import NotMeasured

# More than any device of ours draws: a counter that was reset, or a line of noise.
_MOST_W = 2000.0


class Meter(Protocol):
    """An instrument."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def covers(self) -> str:
        """What part of the machine it measures."""

    @property
    def prompt(self) -> bool:
        """Whether it follows the load at once, so that the load and the power of one sample belong together."""

    @property
    def every_s(self) -> float:
        """The least seconds between two readings, since a reading costs time; 0 where it costs none."""

    def watts(self, now: float) -> float | NotMeasured:
        """Watts now, or the mean since the previous reading."""


def plausible(watts: float, origin: str) -> float | NotMeasured:
    """`watts`, if a device can draw so much."""
    if math.isfinite(watts) and 0 <= watts <= _MOST_W:
        return watts
    return NotMeasured(f"{origin}: {watts:g} W is impossible")
