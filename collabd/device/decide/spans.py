"""What any run of neighbouring segments takes on one machine, from the heads and tails that were measured there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collabd.profiling.profile import Profile

Floats = npt.NDArray[np.float64]


class Spans:
    """Seconds on an idle machine. Segment k lies between cut k and the next; the last ends with the network."""

    def __init__(self, profile: Profile, cuts: Sequence[str]) -> None:
        times = {times.cut: times for times in profile.cuts}
        whole_s = profile.whole_ms / 1e3
        # By cut, and behind the last the whole network: all before it, and all behind it.
        self.heads_s: Floats = np.array([0.0, *(times[cut].head_ms / 1e3 for cut in cuts[1:]), whole_s])
        self.tails_s: Floats = np.array([whole_s, *(times[cut].tail_ms / 1e3 for cut in cuts[1:]), 0.0])

    def by_heads(self) -> tuple[float, ...]:
        """Each segment as what it adds to the head."""
        return _differences(self.heads_s)

    def by_tails(self) -> tuple[float, ...]:
        """Each segment as what it adds to the tail."""
        return _differences(self.tails_s[::-1])[::-1]

    def seconds(self, first: int, last: int) -> float:
        """Segments `first` up to but not including `last`: as measured where they are a head or a tail."""
        if last == len(self.tails_s) - 1:
            return float(self.tails_s[first])
        if first == 0:
            return float(self.heads_s[last])
        return float((sum(self.by_heads()[first:last]) + sum(self.by_tails()[first:last])) / 2)


def _differences(cumulative: Floats) -> tuple[float, ...]:
    """None negative: measured times are brought into order first, halfway between the orders from either end."""
    ordered = (np.maximum.accumulate(cumulative) + np.minimum.accumulate(cumulative[::-1])[::-1]) / 2
    return tuple(np.diff(ordered).tolist())
