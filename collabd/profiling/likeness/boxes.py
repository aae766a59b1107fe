"""Detectors: the F1 score of the boxes that a caller would get, against those of the unsplit network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collabd.profiling.likeness.verdict import Shares, Telling, Verdict, agreement_of
from collabd.tasks.detect import DetectAnswers, Found
from collabd.tasks.tensors import Outputs

# Two boxes are of the same thing from this intersection over union on, as COCO's easiest measure has it.
_SAME = 0.5


class BoxLikeness:
    """A `Likeness`. Two boxes are alike if they have one class and an intersection over union of 0.5 or more.

    The share of an image is 2 x matches / (boxes of one + boxes of the other), the harmonic mean of precision and
    recall; it is 1 where neither has a box. Only images where one of the two found something tell anything.
    """

    def __init__(self, unsplit: Outputs, answers: DetectAnswers, sizes: Sequence[tuple[int, int]]) -> None:
        """`sizes`: width and height of each picture."""
        self._answers = answers
        self._sizes = sizes
        self._unsplit = self._found(unsplit, 0)

    def shares(self, found: Outputs, first: int) -> Shares:
        """The F1 score of each image."""
        others = self._found(found, first)
        pairs = zip(self._unsplit[first : first + len(others)], others, strict=True)
        return np.array([[f1(*pair)] for pair in pairs])

    def telling(self, shares: Shares) -> Telling:
        """The images in which one of the two found something."""
        has_boxes = np.array([len(found.scores) > 0 for found in self._unsplit])
        return np.asarray(has_boxes | (shares[:, 0] < 1))

    def verdict(self, shares: Shares) -> Verdict:
        """The F1 scores of the images add up to how many of them agree."""
        return Verdict(agreement_of(shares[:, 0], self.telling(shares)))

    def _found(self, outputs: Outputs, first: int) -> list[Found]:
        count = len(next(iter(outputs.values())))
        sizes = self._sizes[first : first + count]
        each = ({name: array[index : index + 1] for name, array in outputs.items()} for index in range(count))
        return [self._answers.found(*pair) for pair in zip(each, sizes, strict=True)]


def f1(one: Found, other: Found) -> float:
    """How alike two sets of boxes are, 0..1. Each box matches one of the other set at most, surest boxes first."""
    total = len(one.scores) + len(other.scores)
    if not total:
        return 1.0
    overlap = _overlap(one.boxes, other.boxes)
    overlap[one.classes[:, np.newaxis] != other.classes] = 0.0
    matches = 0
    for row in overlap:
        if row.size and row[best := int(row.argmax())] >= _SAME:
            overlap[:, best] = 0.0
            matches += 1
    return 2 * matches / total


def _overlap(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The intersection over union of each of the first [n, 4] with each of the second [m, 4], float32 [n, m]."""
    low = np.maximum(one[:, np.newaxis, :2], other[:, :2])
    high = np.minimum(one[:, np.newaxis, 2:], other[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, np.newaxis] + areas[1] - shared
    ratio: npt.NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return ratio
