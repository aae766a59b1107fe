"""How far two pictures differ, as the network sees them.

They are compared by the means of blocks of 4x4 pixels. The noise of a sensor hardly moves a mean of 16 pixels: by 1.2
of 255 levels at most in a parked camera's pictures. Whatever is large enough to be seen moves some block by more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_SIDE = 4
# The sums of the blocks, int16 [rows, columns, colours]: 0 to 4,080.
Blocks: TypeAlias = npt.NDArray[np.int16]


def blocks_of(picture: npt.NDArray[np.uint8]) -> Blocks:
    """The blocks of a picture, uint8 [1, height, width, colours], as it was prepared for the network."""
    (pixels,) = picture
    down, across = (-size % _SIDE for size in pixels.shape[:2])
    if down or across:
        pixels = np.pad(pixels, ((0, down), (0, across), (0, 0)), mode="edge")
    rows = _added(pixels[first::_SIDE] for first in range(_SIDE))
    return _added(rows[:, first::_SIDE] for first in range(_SIDE))


def difference(one: Blocks, other: Blocks) -> float:
    """The largest difference of the means of two blocks in the same place, in levels of 0 to 255.

    Pictures of different sizes differ by 255.
    """
    if one.shape != other.shape:
        return 255.0
    return float(np.abs(one - other).max()) / _SIDE**2


def _added(parts: Iterable[npt.NDArray[np.integer]]) -> Blocks:
    first, second, *others = parts
    total: Blocks = np.add(first, second, dtype=np.int16)
    for part in others:
        np.add(total, part, out=total)
    return total
