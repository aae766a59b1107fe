"""Where the caller's picture lies in the network's input, and back from there to the picture.

`placement_of` is the only place that knows the rules. Who prepares pictures goes by it forwards, and answers go by it
backwards, so both always fit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.manifest import Picture

# The class of the pixels of a picture that the network did not see, because the rule crops them.
UNSEEN = 255


class PicturePlace(NamedTuple):
    """The part `seen` of the picture fills the part `filled` of the network's input; both are left, top, right, bottom.

    `seen` is in pixels of the upright picture, and may be fractions of pixels. What of the input is not filled is pad.
    """

    seen: tuple[float, float, float, float]
    filled: tuple[int, int, int, int]


def placement_of(picture: Picture, width: int, height: int) -> PicturePlace:
    """Where a picture of `width` x `height` pixels lies in the input that `picture` describes."""
    source, target = (width, height), (picture.width, picture.height)
    if picture.rule == "crop":
        shorter = picture.resize_shorter or max(target)
        return PicturePlace(_centre(source, target, shorter), (0, 0, *target))
    if picture.rule == "stretch":
        return PicturePlace((0, 0, *source), (0, 0, *target))
    scale = min(whole / side for whole, side in zip(target, source, strict=True))
    inside = [min(whole, max(1, round(side * scale))) for whole, side in zip(target, source, strict=True)]
    left, top = (
        (0, 0)
        if picture.rule == "letterbox_top_left"
        else ((whole - part) // 2 for whole, part in zip(target, inside, strict=True))
    )
    return PicturePlace((0, 0, *source), (left, top, left + inside[0], top + inside[1]))


def to_picture(boxes: npt.NDArray[np.float32], picture: Picture, *, width: int, height: int) -> npt.NDArray[np.float32]:
    """Boxes, float32 [n, 4] (x1, y1, x2, y2), from pixels of the network's input to those of the caller's picture.

    They are clipped to the picture, of `width` x `height` pixels. A box that lies outside of it becomes empty.
    """
    seen, filled = placement_of(picture, width, height)
    starts = np.array(filled[:2] * 2)
    scale = np.array([(seen[2] - seen[0]) / (filled[2] - filled[0]), (seen[3] - seen[1]) / (filled[3] - filled[1])] * 2)
    mapped = (boxes - starts) * scale + np.array(seen[:2] * 2)
    clipped: npt.NDArray[np.float32] = np.clip(mapped, 0, np.array([width, height] * 2)).astype(np.float32)
    return clipped


def mask_to_picture(
    class_map: npt.NDArray[np.uint8], picture: Picture, *, width: int, height: int
) -> npt.NDArray[np.uint8]:
    """A map of classes, uint8 [h, w] over the network's input, as a map of the caller's picture, uint8 [height, width].

    Each pixel gets the nearest class of the map, or `UNSEEN` where the network saw nothing of it.
    """
    seen, filled = placement_of(picture, width, height)
    down, rows = _nearest(height, seen[1::2], filled[1::2], whole=picture.height, cells=class_map.shape[0])
    across, columns = _nearest(width, seen[::2], filled[::2], whole=picture.width, cells=class_map.shape[1])
    # Columns first, while the map is small: whole rows are copied many times as fast as single pixels.
    found = class_map[:, columns].take(rows, axis=0)
    if found.shape == (height, width):
        return found
    mask = np.full((height, width), UNSEEN, np.uint8)
    mask[down, across] = found
    return mask


def _centre(source: tuple[int, int], target: tuple[int, int], resize_shorter: int) -> tuple[float, float, float, float]:
    """The part of the source whose resizing to the target equals resizing all of it and cropping the centre."""
    resized = [resize_shorter * side // min(source) for side in source]
    left, top = (round((whole - part) / 2) for whole, part in zip(resized, target, strict=True))
    x, y = source[0] / resized[0], source[1] / resized[1]
    return left * x, top * y, (left + target[0]) * x, (top + target[1]) * y


def _nearest(
    side: int, seen: tuple[float, ...], filled: tuple[int, ...], *, whole: int, cells: int
) -> tuple[slice, npt.NDArray[np.intp]]:
    """Along one axis: which of `side` pixels are seen, and the cell of each, of `cells` over `whole` pixels."""
    first, behind = math.ceil(seen[0] - 0.5), min(side, math.floor(seen[1] + 0.5))
    scale = (filled[1] - filled[0]) / (seen[1] - seen[0])
    at = filled[0] + (np.arange(first, behind) + 0.5 - seen[0]) * scale
    found = np.clip((at * (cells / whole)).astype(np.intp), 0, cells - 1)
    return slice(first, first + len(found)), found
