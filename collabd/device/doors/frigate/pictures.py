"""Finds the picture in a tensor that was made ready for a network.

Frigate resizes an 8-bit picture, orders its axes, and divides it by 255 or makes floats of it as it is. All of that can
be undone exactly, so that the picture may travel as a picture does: as a JPEG, or not at all where an answer is
inherited. A tensor is a picture only if each of its values is one that an 8-bit picture has.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidTensor

# Axes of height, width and channels in tensors of four axes, by Frigate's names (`input_tensor`). The rest is 1.
_LAYOUTS = {"nhwc": (1, 2, 3), "nchw": (2, 3, 1), "hwnc": (0, 1, 3), "hwcn": (0, 1, 2)}
_CHANNELS = 3
# Values that are looked at together; what is made of them stays in the processor's cache.
_BLOCK = 2**15


class Scale(StrEnum):
    """What the values of a picture's tensor are, by Frigate's names (`input_dtype`)."""

    PIXELS = "int"  # uint8
    SHARES = "float"  # float32, 0..1
    LEVELS = "float_denorm"  # float32, 0..255


FLOATS = (Scale.SHARES, Scale.LEVELS)
_LEVELS = np.arange(256, dtype=np.float32)
# Of each of the 256 pixels, as float32 division gives it.
_VALUES = {Scale.SHARES: _LEVELS / np.float32(255), Scale.LEVELS: _LEVELS}
_TIMES = {Scale.SHARES: np.float32(255), Scale.LEVELS: np.float32(1)}


class ExactPicture(NamedTuple):
    """The pixels, uint8 [height, width, 3], and what they were in the tensor."""

    pixels: npt.NDArray[np.uint8]
    scale: Scale


def picture_in(tensor: npt.NDArray[Any], scales: Iterable[Scale] = FLOATS) -> ExactPicture:
    """The picture that `tensor`, uint8 or float32, was made of.

    Floats are tried as `scales`, in this order: a picture whose pixels are all black, or 1, fits both. Raises
    `InvalidTensor` if it is no picture.
    """
    axes = _axes(tensor.shape)
    if tensor.dtype == np.uint8:
        return ExactPicture(_in_order(tensor, axes), Scale.PIXELS)
    for scale in scales:
        if (pixels := pixels_of(tensor, scale)) is not None:
            return ExactPicture(_in_order(pixels, axes), scale)
    raise InvalidTensor(
        "the tensor is not made of an 8-bit picture: its values must all be k/255, or all k, for whole numbers k from "
        "0 to 255 (input_dtype: int, float or float_denorm)"
    )


def pixels_of(tensor: npt.NDArray[np.float32], scale: Scale) -> npt.NDArray[np.uint8] | None:
    """The pixels, in the tensor's own order, if each of its values is exactly that of a pixel; else None."""
    values, times = _VALUES[scale], _TIMES[scale]
    flat = tensor.reshape(-1)
    pixels = np.empty(flat.shape, np.uint8)
    # Of what is not a number, or of no uint8, some pixel is made, whose value then differs.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            found = pixels[start : start + _BLOCK]
            found[...] = (block * times + np.float32(0.5)).astype(np.uint8)
            if not np.array_equal(values[found], block):
                return None
    return pixels.reshape(tensor.shape)


def _axes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    fitting = [axes for axes in _LAYOUTS.values() if len(shape) == 4 and _is_one_picture(shape, axes)]
    if len(fitting) != 1:
        raise InvalidTensor(
            f"a tensor of the shape {list(shape)} is not one picture with {_CHANNELS} channels, such as "
            "[1, height, width, 3] or [1, 3, height, width]"
        )
    return fitting[0]


def _is_one_picture(shape: tuple[int, ...], axes: tuple[int, int, int]) -> bool:
    (rest,) = set(range(4)) - set(axes)
    return shape[rest] == 1 and shape[axes[2]] == _CHANNELS


def _in_order(pixels: npt.NDArray[np.uint8], axes: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    (rest,) = set(range(4)) - set(axes)
    ordered: npt.NDArray[np.uint8] = np.ascontiguousarray(pixels.transpose(rest, *axes)[0])
    return ordered
