"""The cells in which a detector looks: one for each `stride` x `stride` pixels, for each of its strides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

THREE = (8, 16, 32)
FOUR = (8, 16, 32, 64)
FINE = (4, 8, 16, 32)


def cells(height: int, width: int, strides: Sequence[int]) -> npt.NDArray[np.float32]:
    """Column, row and stride of each cell, float32 [cells, 3], row by row, one stride after the other."""
    return np.concatenate([_of_stride(height, width, stride) for stride in strides])


def count(height: int, width: int, strides: Sequence[int]) -> int:
    """How many cells there are."""
    return sum(-(-height // stride) * -(-width // stride) for stride in strides)


def fitting(number: int, *, height: int, width: int, among: Sequence[Sequence[int]]) -> Sequence[int] | None:
    """The strides, `among` those, with which a picture has this number of cells; None if there are none."""
    return next((strides for strides in among if count(height, width, strides) == number), None)


def _of_stride(height: int, width: int, stride: int) -> npt.NDArray[np.float32]:
    rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
    one = np.stack([columns, rows, np.full_like(rows, stride)], axis=-1)
    return one.reshape(-1, 3).astype(np.float32)
