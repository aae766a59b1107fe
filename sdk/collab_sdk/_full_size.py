"""A large Pillow picture travels smaller than it is: its answer is put into the pixels of the caller's picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collab_sdk.answers import Answer, Detections, Segmentation
from collab_sdk.result import Result, said_in

# Width and height, pixels.
Size: TypeAlias = tuple[int, int]


def make_full_size(result: Result, sent: Size, full: Size) -> None:
    """Make it the result of the picture in full size. ``sent``: the size in which the picture travelled."""
    said_in(result).update(image_width=full[0], image_height=full[1])
    vars(result)["answer"] = _scaled(result.answer, sent, full)


def _scaled(answer: Answer, sent: Size, full: Size) -> Answer:
    if isinstance(answer, Detections):
        factors = np.array([full[0] / sent[0], full[1] / sent[1]] * 2, np.float32)
        return replace(answer, xyxy=answer.xyxy * factors)
    if isinstance(answer, Segmentation):
        columns, rows = _nearest(sent[0], full[0]), _nearest(sent[1], full[1])
        mask: NDArray[Any] = answer.mask[rows[:, None], columns]
        return replace(answer, mask=mask)
    return answer


def _nearest(sent: int, full: int) -> NDArray[np.int_]:
    """For each pixel in full size, the pixel that travelled."""
    return np.arange(full) * sent // full
