"""Classifiers: how often the top-1 is that of the unsplit network.

The top-1 of several independent labels is the most probable one; of a single label it is whether it applies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.manifest import SURE, Agreement
from collabd.catalog.package.scores import as_classes, confidence
from collabd.profiling.evidence import Reference, worth
from collabd.profiling.likeness.verdict import Shares, Telling, Verdict
from collabd.tasks.tensors import Outputs


class ClassLikeness:
    """A `Likeness`. An answer is like the other or not."""

    def __init__(self, unsplit: Outputs, output: str, kind: ScoreKind) -> None:
        classes = as_classes(unsplit[output], kind)
        self.reference = Reference(decided=classes.argmax(axis=1), sure=confidence(classes, kind) >= SURE)
        self._output = output
        self._kind = kind

    def shares(self, found: Outputs, first: int) -> Shares:
        """1 where the top-1 is the same, else 0."""
        decided = as_classes(found[self._output], self._kind).argmax(axis=1)
        same = decided == self.reference.decided[first : first + len(decided)]
        return np.asarray(same, np.float64)[:, np.newaxis]

    def telling(self, _: Shares) -> Telling:
        """The images of which the unsplit network is sure."""
        return self.reference.sure

    def verdict(self, shares: Shares) -> Verdict:
        """Of pictures that show the same, fewer count."""
        decided, sure = self.reference.decided, self.reference.sure
        same = shares[:, 0]
        agreed, images = _counted(same, decided)
        sure_agreed, sure_images = _counted(same[sure], decided[sure])
        return Verdict(Agreement(agreed=agreed, images=images, sure_agreed=sure_agreed, sure_images=sure_images))


def _counted(same: npt.NDArray[np.float64], decided: npt.NDArray[np.intp]) -> tuple[int, int]:
    """How many agree of how many, where all images together count as what they are `worth`."""
    if not len(same):
        return 0, 0
    images = worth(decided)
    return int(same.sum()) * images // len(same), images
