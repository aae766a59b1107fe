"""How long the device takes to decode and resize an image, by the size of the image."""

from __future__ import annotations

import math

from collabd.sensing.estimates.line import Line

# Assumed until the first image: seconds for any image, and for each megapixel.
_FIRST_S = 1e-3
_FIRST_S_PER_MEGAPIXEL = 0.02
_USUAL_MEGAPIXELS = 0.1
_MEMORY = 0.8
# What was learned to be slower than the profile is forgotten when no image comes: it may be what keeps calls away.
_FORGOTTEN_S = 60.0


class Preparation:
    """Seconds against megapixels, as measured on this device. The clock is passed in, in seconds.

    When nothing was prepared for a while, a line slower than profiled returns to the profile; a faster one stays.
    """

    def __init__(self) -> None:
        self._profiled, self._learned = _first_guess(), _first_guess()
        self._learned_at = -math.inf

    def note_profile(self, megapixels: float, seconds: float) -> None:
        """Take in the profiled seconds for an image of this size."""
        self._profiled.learn(megapixels, seconds)
        self._learned.learn(megapixels, seconds)

    def learn(self, megapixels: float, seconds: float, now: float) -> None:
        """Take in one image."""
        self._learned.learn(megapixels, seconds)
        self._learned_at = now

    def at(self, megapixels: float, now: float) -> float:
        """Seconds that an image of this size will most likely take."""
        learned_s, profiled_s = self._learned.at(megapixels), self._profiled.at(megapixels)
        kept = math.exp(-max(now - self._learned_at, 0.0) / _FORGOTTEN_S)
        return min(learned_s, profiled_s + kept * (learned_s - profiled_s))


def _first_guess() -> Line:
    return Line(offset=_FIRST_S, slope=_FIRST_S_PER_MEGAPIXEL, scale=_USUAL_MEGAPIXELS, memory=_MEMORY)
