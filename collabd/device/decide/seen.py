"""What a call's picture has shown before the call is planned."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from collabd.planning import Candidate


@dataclass(frozen=True, kw_only=True)
class SeenPicture:
    """A picture that is prepared already. `offer`: the plan to inherit an answer; None: there is nothing to inherit.

    `suffices`: whether the offer is as faithful as the call asks. `took_s`: seconds that the device worked for this.
    `exact`: the call shall be answered without loss, if its caps permit, since others are to inherit its answer.
    """

    took_s: float
    offer: Candidate | None
    suffices: bool
    exact: bool = False

    @property
    def kind(self) -> Hashable:
        """Equal for calls that have the same to choose from."""
        return self.exact, self.offer and (self.offer.codec, self.suffices)


# The kind of a picture that offers nothing: its call is planned as that of a picture that nobody has looked at.
NOTHING_SEEN: Hashable = (False, None)
