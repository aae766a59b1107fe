"""Segmenters: the share of pixels that have the class that the unsplit network gives them.

Beside it the mean intersection over union of the classes is told, by which segmenters are mostly compared. It weighs a
class of few pixels like one of many.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collabd.profiling.likeness.verdict import Shares, Telling, Verdict, agreement_of
from collabd.tasks.tensors import Outputs

_CLASSES = 256


class MapLikeness:
    """A `Likeness`. Only images of which one of the two maps has more than one class tell anything."""

    def __init__(self, unsplit: Outputs, output: str) -> None:
        self._output = output
        self._unsplit = _flat(unsplit[output])

    def shares(self, found: Outputs, first: int) -> Shares:
        """Of each image the share of equal pixels, and the mean intersection over union of its classes."""
        maps = _flat(found[self._output])
        expected = self._unsplit[first : first + len(maps)]
        return np.array(
            [[(one == other).mean(), _mean_iou(one, other)] for one, other in zip(expected, maps, strict=True)]
        )

    def telling(self, shares: Shares) -> Telling:
        """The images of which one of the two maps has more than one class."""
        varied = self._unsplit.min(axis=1) < self._unsplit.max(axis=1)
        return np.asarray(varied | (shares[:, 0] < 1))

    def verdict(self, shares: Shares) -> Verdict:
        """The shares of the images add up to how many of them agree."""
        equal, overlap = shares.T
        telling = self.telling(shares)
        return Verdict(agreement_of(equal, telling), mean_iou=float(overlap[telling].mean()) if telling.any() else None)


def _mean_iou(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Over the classes that one of the two maps has."""
    shared, *both = (np.bincount(pixels, minlength=_CLASSES) for pixels in (one[one == other], one, other))
    union = sum(both) - shared
    there = union > 0
    return float((shared[there] / union[there]).mean())


def _flat(maps: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return maps.reshape(len(maps), -1).astype(np.uint8, copy=False)
