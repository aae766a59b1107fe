"""How long a device leaves a companion alone that refused a call because it is busy."""

from __future__ import annotations

import random
from collections.abc import Callable

# No pause is longer, and a companion cannot ask for a longer one.
_MOST_S = 60.0
# A pause of 2 s is really one of 1 to 3 s, so that devices that were refused together do not come back together.
_LEAST, _MOST = 0.5, 1.5
# A refusal makes the next pause so many times longer, an answer so many times shorter.
_GROWS, _SHRINKS = 4.0, 2.0


class Pause:
    """The pause grows with each refusal and shrinks with each answer. `chance` draws a number between two.

    A companion says when it expects to have room, but not for whom: it cannot know how many others it has told the
    same. So devices find by themselves how often they may ask. Where 1,500 devices ask in vain, a pause of 1 s would
    cost each of their calls a second a round trip, and the companion 1,500 refusals a second. After three refusals (1,
    4 and 16 s) it is one call in 60 s of each, 25 a second in all.
    A companion that was busy for a moment loses little: the first pause is about as long as it asked for. Two devices
    whose calls meet now and then are told to come again in 20 ms, and with two answers after each refusal it stays so.
    """

    def __init__(self, chance: Callable[[float, float], float] = random.uniform) -> None:  # noqa: S311  no secret
        self._chance = chance
        # The last pause, less what the answers since then have taken from it.
        self._last_s = 0.0

    def after_refusal(self, asked_s: float) -> float:
        """How many seconds to wait. The companion asked for `asked_s`."""
        self._last_s = min(max(asked_s, _GROWS * self._last_s), _MOST_S)
        return self._last_s * self._chance(_LEAST, _MOST)

    def answered(self) -> None:
        """The companion had room for a call."""
        self._last_s /= _SHRINKS
