"""What a source of measured power is, whichever hardware it reads."""

from __future__ import annotations

import math
from typing import Protocol

from collabd.sensing.reading import NotMeasured

# More than any device of ours draws: a counter that was reset, or a line of noise.
_MOST_W = 2000.0


class Meter(Protocol):
    """Measured power."""

    @property
    def name(self) -> str:
        """The instrument."""

    @property
    def covers(self) -> str:
        """What part of the machine it measures."""

    @property
    def prompt(self) -> bool:
        """Whether it follows the load at once, so that load and power of one sample belong together."""

    @property
    def every_s(self) -> float:
        """Seconds to leave between two readings, since reading it costs something; 0 where it does not."""

    def watts(self, now: float) -> float | NotMeasured:
        """Watts now, or since the reading before."""


def plausible(watts: float, origin: str) -> float | NotMeasured:
    """`watts` if a device can draw that."""
    if math.isfinite(watts) and 0 <= watts <= _MOST_W:
        return watts
    return NotMeasured(f"{origin}: {watts:g} W is impossible")
