"""What is told of a lossy codec."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.manifest import Agreement

# How much each answer is like the unsplit network's, 0..1: float64 [images, measures]. The first measure is fidelity;
# others are only shown.
Shares: TypeAlias = npt.NDArray[np.float64]
# Whether each answer says something of fidelity: bool [images]. Where there is nothing to see, it is easy to agree.
Telling: TypeAlias = npt.NDArray[np.bool_]
# Of a sum of shares, which are rounded.
_ROUNDING = 1e-9


class Verdict(NamedTuple):
    """What a package tells of a lossy codec: an agreement, or a largest change; `mean_iou` of segmenters alone."""

    agreement: Agreement | None = None
    largest_change: float | None = None
    mean_iou: float | None = None


def agreement_of(shares: npt.NDArray[np.float64], telling: Telling) -> Agreement:
    """The agreement where an answer may be right in part: the shares, float64 [images], add up and are rounded down."""
    return Agreement(
        agreed=_whole(shares),
        images=len(shares),
        sure_agreed=_whole(shares[telling]),
        sure_images=int(telling.sum()),
    )


def _whole(shares: npt.NDArray[np.float64]) -> int:
    return math.floor(float(shares.sum()) + _ROUNDING)
