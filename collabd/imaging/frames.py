"""From an array, with the colours in the order of the camera, to RGB of the network's size.

A frame is shrunk first and its colours are ordered then, so that it is read once and never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.channels import Channels, check_pixels, fits
from collab_sdk.errors import InvalidTensor
from collabd.imaging.bounds import check_size

# For each order: the mode whose memory is the array's, and how the pixels are to be read as RGB. Both are Pillow's.
_MODES = {
    Channels.RGB: ("RGB", "RGB"),
    Channels.BGR: ("RGB", "BGR"),
    Channels.RGBX: ("RGBX", "RGB"),
    Channels.BGRX: ("RGBX", "BGR"),
}


def one_frame(array: NDArray[Any], channels: Channels) -> NDArray[np.uint8]:
    """The array without the batch axis that clients of the protocol put before it.

    Raises InvalidTensor if it is not an image with these channels, or is too large.
    """
    return array[0] if _is_batch(array.dtype, array.shape, channels) else array


# A camera's frames are all of one shape.
@lru_cache
def _is_batch(dtype: np.dtype[Any], shape: tuple[int, ...], channels: Channels) -> bool:
    """Whether arrays of this shape have a batch axis. Raises InvalidTensor, as `one_frame` does."""
    first, rest = shape[:1], shape[1:]
    is_batch = first == (1,) and not fits(shape, channels) and (len(rest) == 3 or fits(rest, channels))
    of_one = rest if is_batch else shape
    check_pixels(dtype, of_one, channels)
    check_size(_size(of_one, channels), InvalidTensor)
    return is_batch


def frame_size(frame: NDArray[np.uint8], channels: Channels) -> tuple[int, int]:
    """Width and height of the image in a frame."""
    return _size(frame.shape, channels)


def _size(shape: tuple[int, ...], channels: Channels) -> tuple[int, int]:
    rows, width = shape[:2]
    return width, rows * 2 // 3 if channels == Channels.YUV420 else rows


def fitted_frame(
    frame: NDArray[np.uint8], channels: Channels, fit: Callable[[Image.Image], Image.Image]
) -> NDArray[np.uint8]:
    """The frame (see `one_frame`) as RGB, uint8 [height, width, 3], resized by `fit`."""
    frame = np.ascontiguousarray(frame)
    size = frame_size(frame, channels)
    if channels == Channels.YUV420:
        # Pillow's YCbCr is that of JPEG (BT.601, full range). So is picamera2's, unless it records video.
        planes = [fit(plane) for plane in _planes(frame, *size)]
        return np.asarray(Image.merge("YCbCr", planes).convert("RGB"))
    if channels == Channels.GREY:
        return np.asarray(fit(_picture(frame, size, "L")).convert("RGB"))
    mode, read_as = _MODES[channels]
    fitted = fit(_picture(frame, size, mode))
    return np.frombuffer(fitted.tobytes("raw", read_as), np.uint8).reshape(fitted.height, fitted.width, 3)


def _planes(frame: NDArray[np.uint8], width: int, height: int) -> list[Image.Image]:
    y, u, v = np.split(frame.reshape(-1), [width * height, width * height * 5 // 4])
    halves = (width // 2, height // 2)
    return [_picture(plane, size, "L") for plane, size in ((y, (width, height)), (u, halves), (v, halves))]


def _picture(pixels: NDArray[np.uint8], size: tuple[int, int], mode: str) -> Image.Image:
    """An image over the memory of the array, where the mode allows it."""
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
