"""How long the device takes for what depends on the size of an image: to prepare it, and to make the answer for it."""

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


class ImageTimes:
    """Seconds against megapixels, as measured on this device. The clock is passed in, in seconds.

    When nothing was learned for a while, a line slower than profiled returns to the profile; a faster one stays.
    """

    def __init__(self, *, first_s: float = _FIRST_S, first_s_per_megapixel: float = _FIRST_S_PER_MEGAPIXEL) -> None:
        """Start from a guess, which stands for the profile where there is none."""
        self._profiled, self._learned = (
            Line(offset=first_s, slope=first_s_per_megapixel, scale=_USUAL_MEGAPIXELS, memory=_MEMORY) for _ in range(2)
        )
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
