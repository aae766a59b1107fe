"""What an answer says, by the task of the network, and its arrays on the wire.

==================  ==========  =============================================================================
answer              task        outputs on the wire
==================  ==========  =============================================================================
`Classification`    classify    ``scores`` FP32 [1, labels]
`Detections`        detect      ``boxes`` FP32 [n, 4], ``scores`` FP32 [n], ``classes`` INT32 [n]
`Segmentation`      segment     ``mask`` UINT8 [height, width]
`RawOutputs`        tensors     the network's outputs by their names; also any task that was called with ``raw``
==================  ==========  =============================================================================

The names of the classes do not travel with an answer: they are in the model's metadata (`Legend`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answer", "Classification", "Detection", "Detections", "Legend", "RawOutputs", "Rgb", "Segmentation"]

Rgb: TypeAlias = tuple[int, int, int]

# How many classes of a mask, or outputs, the text of an answer names.
_NAMED = 3
# Pixels of a mask that are counted at once, since numpy counts with eight bytes for each.
_COUNTED_AT_ONCE = 2**20


class Legend(NamedTuple):
    """What the numbers of a model's classes mean: their names, and their colours if the package has some."""

    labels: tuple[str, ...]
    palette: tuple[Rgb, ...] | None = None


@dataclass(frozen=True, eq=False)
class Classification:
    """A probability for each label: ``scores`` float32 [labels], as `Result.scores` explains."""

    scores: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.label} {self.score:.2f}"

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The probability of `label`, 0..1: among all labels, or by itself where they are independent."""
        return float(self.scores.max())

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` most probable labels with their probabilities, best first; all of them if there are fewer."""
        best = np.argsort(-self.scores, kind="stable")[: max(k, 0)]
        return [(self.labels[i], float(self.scores[i])) for i in best]

    def on_wire(self) -> dict[str, NDArray[Any]]:
        """The outputs that travel, by their names."""
        return {"scores": self.scores.reshape(1, -1)}


class Detection(NamedTuple):
    """One object: the name and number of its class, the confidence 0..1, and its box (x1, y1, x2, y2) in pixels."""

    class_name: str
    class_id: int
    confidence: float
    xyxy: tuple[float, float, float, float]

    def __str__(self) -> str:
        x1, y1, x2, y2 = self.xyxy
        return f"{self.class_name} {self.confidence:.2f} at {x1:.0f},{y1:.0f} {x2 - x1:.0f}x{y2 - y1:.0f}"


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects in a picture, the surest first.

    ``xyxy``: boxes, float32 [n, 4]: x1, y1, x2, y2 in pixels of the caller's picture (turned upright, if its EXIF data
    asks for that), from its top left corner. ``confidence``: float32 [n], 0..1. ``class_id``: integers [n], which count
    the ``labels``: the names of all classes that the network knows. ``palette``: their colours; None: ours.

    ``for`` gives one `Detection` after another, and so does an index. A slice, a mask such as
    ``detections.confidence >= 0.6``, or an array of indices gives the `Detections` that it picks.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int_]
    _: KW_ONLY
    labels: tuple[str, ...] = field(repr=False)
    palette: tuple[Rgb, ...] | None = field(default=None, repr=False)

    @property
    def class_name(self) -> tuple[str, ...]:
        """The name of each object's class."""
        return tuple(self.labels[number] for number in self.class_id)

    def __len__(self) -> int:
        return len(self.confidence)

    def __iter__(self) -> Iterator[Detection]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Detection: ...

    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Detections: ...

    def __getitem__(self, index: int | slice | NDArray[Any]) -> Detection | Detections:
        if isinstance(index, slice | np.ndarray):
            return replace(
                self, xyxy=self.xyxy[index], confidence=self.confidence[index], class_id=self.class_id[index]
            )
        x1, y1, x2, y2 = self.xyxy[index].tolist()
        number = int(self.class_id[index])
        return Detection(self.labels[number], number, float(self.confidence[index]), (x1, y1, x2, y2))

    def __str__(self) -> str:
        if not len(self):
            return "nothing found"
        more = len(self) - 1
        return f"{self[0]}; {more} more" if more else str(self[0])

    def on_wire(self) -> dict[str, NDArray[Any]]:
        """The outputs that travel, by their names."""
        return {
            "boxes": self.xyxy.astype(np.float32),
            "scores": self.confidence.astype(np.float32),
            "classes": self.class_id.astype(np.int32),
        }


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The class of each pixel.

    ``mask``: the numbers of the classes, uint8 [height, width] of the caller's picture (turned upright, if its EXIF
    data asks for that). It is bool where the network knows one class alone. ``labels``: the names of the classes.
    ``palette``: their colours; None: ours.
    """

    mask: NDArray[np.uint8] | NDArray[np.bool_] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    palette: tuple[Rgb, ...] | None = field(default=None, repr=False)

    def class_shares(self) -> list[tuple[int, float]]:
        """The number of each class that is in the mask with its share of the picture, 0..1, the largest first.

        A network with one class always has its share.
        """
        if len(self.labels) == 1:
            return [(0, float(self.mask.mean()))]
        flat, counts = self.mask.reshape(-1), np.zeros(len(self.labels), np.int64)
        for at in range(0, flat.size, _COUNTED_AT_ONCE):
            counts += np.bincount(flat[at : at + _COUNTED_AT_ONCE], minlength=len(self.labels))
        order = np.argsort(-counts, kind="stable")
        return [(int(number), float(counts[number] / flat.size)) for number in order if counts[number]]

    def shares(self) -> list[tuple[str, float]]:
        """The name of each class that is in the mask with its share of the picture, 0..1, the largest first."""
        return [(self.labels[number], share) for number, share in self.class_shares()]

    def __str__(self) -> str:
        shares = self.shares()
        # What a picture shows is said before what is behind it.
        shown = [each for each in shares if not is_background(each[0])] or shares
        named = ", ".join(f"{label} {_percent(share)}" for label, share in shown[:_NAMED])
        more = len(shown) - _NAMED
        return f"{named}, {_others(more)}" if more > 0 else named

    def on_wire(self) -> dict[str, NDArray[Any]]:
        """The outputs that travel, by their names."""
        return {"mask": self.mask.view(np.uint8)}


class RawOutputs(dict[str, NDArray[Any]]):
    """The arrays of the network's outputs, by their names."""

    def __str__(self) -> str:
        forms = [f"{name} {array.dtype} {list(array.shape)}" for name, array in self.items()]
        more = len(forms) - _NAMED
        return ", ".join(forms[:_NAMED]) + (f", {_others(more)}" if more > 0 else "")

    def on_wire(self) -> Mapping[str, NDArray[Any]]:
        """The outputs that travel, by their names."""
        return self


Answer: TypeAlias = Classification | Detections | Segmentation | RawOutputs


def is_background(label: str) -> bool:
    """Whether a class of this name is what is left of a picture without its objects."""
    return label.strip("_ ").casefold() == "background"


def _others(count: int) -> str:
    return f"{count} other{'s' * (count > 1)}"


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{share * 100:.0f} %"
