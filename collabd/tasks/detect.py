"""Detectors answer with the boxes that are sure enough, each thing once, in pixels of the caller's picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collab_sdk.answers import Detections
from collabd.catalog.package.manifest import Detect, Picture, Port
from collabd.tasks.geometry import to_picture
from collabd.tasks.suppression import suppress
from collabd.tasks.tensors import Outputs

BOXES, SCORES, CLASSES = "boxes", "scores", "classes"


class Found(NamedTuple):
    """What was found in one picture: boxes float32 [n, 4], scores float32 [n], which fall, and classes int32 [n].

    Boxes are in pixels of the caller's picture. Each has an area in it.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32]


class DetectAnswers:
    """`TaskAnswers`: what is `Found`, as `boxes` (x1, y1, x2, y2), `scores` and `classes`."""

    ports = (Port(BOXES, "float32", (None, 4)), Port(SCORES, "float32", (None,)), Port(CLASSES, "int32", (None,)))
    takes_long = False

    def __init__(self, task: Detect, picture: Picture, outputs: Sequence[str]) -> None:
        """`outputs`: the network's names for boxes, scores and classes."""
        self._task = task
        self._picture = picture
        self._outputs = tuple(outputs)

    def __call__(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """The detections in a picture of this width and height."""
        found = self.found(outputs, size)
        return {BOXES: found.boxes, SCORES: found.scores, CLASSES: found.classes}

    def found(self, outputs: Outputs, size: tuple[int, int]) -> Found:
        """The same as a tuple.

        A box that shows nothing of the picture goes, also where it lies in what pads the network's input.
        """
        task = self._task
        boxes, scores, classes = (outputs[name][0] for name in self._outputs)
        width, height = size
        placed = to_picture(boxes, self._picture, width=width, height=height)
        shows = np.isfinite(boxes).all(axis=1) & (placed[:, :2] < placed[:, 2:]).all(axis=1)
        sure = np.flatnonzero(shows & (scores >= task.score_threshold))
        kept = suppress(boxes[sure], scores[sure], classes[sure], iou_threshold=task.iou_threshold, most=task.most)
        stays = sure[kept]
        return Found(placed[stays], scores[stays], classes[stays])

    def line(self, answer: Outputs) -> Callable[[], str]:
        """The surest object, and how many more there are."""
        return lambda: str(Detections(answer[BOXES], answer[SCORES], answer[CLASSES], labels=self._task.classes))
