"""Non-maximum suppression: of boxes that show the same thing, the one with the highest score stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float32]


def suppress(
    boxes: _Floats, scores: _Floats, classes: npt.NDArray[np.integer], *, iou_threshold: float, most: int
) -> npt.NDArray[np.intp]:
    """The indices of the boxes that stay, at most `most`, by falling score; boxes of equal scores keep their order.

    A box goes if a box of its class that stays has a higher score, and an intersection over union with it that is
    greater than `iou_threshold`. `boxes` float32 [n, 4] (x1, y1, x2, y2), `scores` float32 [n], `classes` integers [n].
    It takes memory for n x n floats, so n should be some hundreds.
    """
    order = np.argsort(-scores, kind="stable")
    rivals = _overlap(boxes[order]) > np.float32(iou_threshold)
    kinds = classes[order]
    rivals &= kinds[:, np.newaxis] == kinds
    stays = np.ones(len(order), bool)
    # A box can only remove those behind it. Few boxes have any such.
    rivals = np.triu(rivals, 1)
    for index in np.flatnonzero(rivals.any(axis=1)):
        if stays[index]:
            stays &= ~rivals[index]
    return order[stays][:most]


def _overlap(boxes: _Floats) -> _Floats:
    """The intersection over union of each pair, float32 [n, n]. Two boxes without an area have 0."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    shared = _shared(x1, x2) * _shared(y1, y2)
    union = areas[:, np.newaxis] + areas - shared
    ratio: _Floats = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return ratio


def _shared(low: _Floats, high: _Floats) -> _Floats:
    """How much of each pair of intervals both cover, float32 [n, n]."""
    shared: _Floats = np.minimum.outer(high, high) - np.maximum.outer(low, low)
    return np.maximum(shared, 0, out=shared)
