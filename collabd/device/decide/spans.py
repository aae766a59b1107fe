"""The seconds that any run of neighbouring segments takes on one machine, from the heads and tails measured on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.profiling.profile import Profile

Floats = npt.NDArray[np.float64]


class Spans:
    """Seconds on an idle machine. Segment k lies between cut k and cut k + 1; the last segment ends the network."""

    def __init__(self, profile: Profile, cuts: Sequence[str], precision: Precision = Precision.FP32) -> None:
        times = {times.cut: times.parts(precision) for times in profile.cuts}
        whole_s = profile.whole_s(precision)
        # One entry for each cut, and one for the end of the network: the seconds of all layers before it (heads) and of
        # all layers behind it (tails).
        self.heads_s: Floats = np.array([0.0, *(times[cut].head_ms / 1e3 for cut in cuts[1:]), whole_s])
        self.tails_s: Floats = np.array([whole_s, *(times[cut].tail_ms / 1e3 for cut in cuts[1:]), 0.0])

    def by_heads(self) -> tuple[float, ...]:
        """The seconds that each segment adds to the head."""
        return _differences(self.heads_s)

    def by_tails(self) -> tuple[float, ...]:
        """The seconds that each segment adds to the tail."""
        return _differences(self.tails_s[::-1])[::-1]

    def seconds(self, first: int, last: int) -> float:
        """The seconds of the segments from `first` up to, but not including, `last`.

        For a head or a tail this is the measured time. Any other run gets the mean of what its segments add to the head
        and what they add to the tail.
        """
        if last == len(self.tails_s) - 1:
            return float(self.tails_s[first])
        if first == 0:
            return float(self.heads_s[last])
        return float((sum(self.by_heads()[first:last]) + sum(self.by_tails()[first:last])) / 2)


def _differences(cumulative: Floats) -> tuple[float, ...]:
    """The differences between neighbours, none of them negative.

    Measured times may be out of order. They are first replaced by the mean of two ordered versions: the running maximum
    from the front and the running minimum from the back.
    """
    ordered = (np.maximum.accumulate(cumulative) + np.minimum.accumulate(cumulative[::-1])[::-1]) / 2
    return tuple(np.diff(ordered).tolist())
