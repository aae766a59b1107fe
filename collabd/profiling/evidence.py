"""How much evidence a set of pictures is: copies add nothing, and pictures of one class say little about others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Pictures are compared at this many pixels a side at most: a copy that was encoded anew differs in fine detail.
_SIDE = 16
# Mean difference of two copies, of 255 levels: one changed pixel of 16x16 makes up to 1, JPEG at quality 75 or more
# makes 4 of a picture of 32x32 and at any quality 1.3 of a photograph. CIFAR-10's pictures are 16 apart and more.
_COPY = 4.0
# So many pictures always count, whatever they show. They promise a fidelity of 91 % at most.
_FREE = 10
# If the network answers with fewer classes than this, although it has more, the author is told.
_FEW = 5
# So many pictures of which the network is sure promise 99 %, if it never changes its mind about them.
_ENOUGH = 100
_TOO_FEW = (
    f"and only these say what a lossy codec changes: with fewer than {_ENOUGH} no lossy codec is promised a fidelity "
    "of 99 %, which is what calls ask for if they state none"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the unsplit network says of each image: the class that it decides for, and whether it is sure of it."""

    decided: npt.NDArray[np.intp]
    sure: npt.NDArray[np.bool_]


def distinct(images: npt.NDArray[np.uint8]) -> list[int]:
    """Which pictures, of uint8 [images, height, width, 3], are no copies or near-copies of earlier ones, in order."""
    kept: list[int] = []
    seen = np.empty_like(small := reduced(images))
    for index, picture in enumerate(small):
        if not is_copy(picture, seen[: len(kept)]):
            seen[len(kept)] = picture
            kept.append(index)
    return kept


def is_copy(picture: npt.NDArray[np.float32], others: npt.NDArray[np.float32 | np.uint8]) -> bool:
    """Whether one of the others, [pictures, values], is nearly the same. All of them are `reduced`."""
    return bool(len(others)) and bool(np.abs(others - picture).mean(axis=1).min() < _COPY)


def worth(decided: npt.NDArray[np.integer]) -> int:
    """How many pictures count as evidence; `decided` has the class that the network chose for each picture.

    Pictures of the most frequent class count no more than all others together, and a few more: a network that always
    gives the same answer agrees with itself, whatever a codec does.
    """
    return int(worth_of(len(decided), int(np.unique(decided, return_counts=True)[1].max())))


def worth_of(images: float, most: float) -> float:
    """The same for so many pictures, `most` of which are of the most frequent class."""
    return min(images, 2 * (images - most) + _FREE)


def doubts(given: int, reference: Reference, labels: int) -> Iterator[str]:
    """What to tell the author of `given` pictures. `reference` is of the distinct ones, `labels` a number of labels."""
    decided, sure = reference.decided, int(reference.sure.sum())
    if len(decided) < given:
        yield f"only {len(decided)} of the {given} calibration images differ, and copies add nothing"
    found, classes = len(np.unique(decided)), max(labels, 2)  # a single label applies or not
    if found < min(classes, _FEW):
        yield (
            f"the network puts all calibration images into {found} of its {classes} classes, so they say little about "
            "fidelity: give images of more classes"
        )
    if sure < _ENOUGH:
        yield f"the network is sure of {sure} calibration images, {_TOO_FEW}"


def few(telling: int | None) -> Iterator[str]:
    """What to tell the author if a detector or segmenter finds something in few images. None: that does not matter."""
    if telling is not None and telling < _ENOUGH:
        yield f"the network finds something in {telling} calibration images, {_TOO_FEW}"


def reduced(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Each picture as the means of its patches, at most `_SIDE` a side, as float32 [images, values]."""
    count, height, width, colours = images.shape
    down, across = -(-height // _SIDE), -(-width // _SIDE)
    whole = images[:, : height // down * down, : width // across * across]
    patches = whole.reshape(count, height // down, down, width // across, across, colours)
    return np.asarray(patches.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1), np.float32)
