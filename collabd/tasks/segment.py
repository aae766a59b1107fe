"""Segmenters answer with a map of classes as large as the caller's picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from collab_sdk.answers import Segmentation
from collabd.catalog.package.manifest import Picture, Port, Segment
from collabd.tasks.geometry import mask_to_picture
from collabd.tasks.tensors import Outputs

MASK = "mask"
# About as many pixels of each side as networks give.
_GRID = 256


class SegmentAnswers:
    """`TaskAnswers`: `mask` uint8 [height, width], of the caller's picture."""

    ports = (Port(MASK, "uint8", (None, None)),)
    takes_long = True

    def __init__(self, task: Segment, picture: Picture, output: str) -> None:
        self._labels = task.classes
        self._picture = picture
        self._output = output

    def __call__(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """The mask of a picture of this width and height."""
        width, height = size
        return {MASK: mask_to_picture(outputs[self._output][0], self._picture, width=width, height=height)}

    def line(self, answer: Outputs) -> Callable[[], str]:
        """The largest classes with their shares, by a grid of the mask's pixels, since a mask may take megabytes."""
        height, width = answer[MASK].shape
        grid = answer[MASK][:: -(-height // _GRID), :: -(-width // _GRID)].copy()
        return lambda: str(Segmentation(grid.view(np.bool_) if len(self._labels) == 1 else grid, self._labels))
