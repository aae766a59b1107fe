"""What the bytes of an image array mean. The SDK checks this before it sends, and the daemons apply the same rule."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np

from collab_sdk.errors import InvalidTensor

__all__ = ["Channels", "channels_of", "check_pixels", "fits"]


class Channels(StrEnum):
    """The channels of an image array; `Client.infer` lists their shapes and the cameras that give them."""

    RGB = "rgb"
    BGR = "bgr"
    RGBX = "rgbx"
    BGRX = "bgrx"
    GREY = "grey"
    YUV420 = "yuv420"


_BY_NAME = {str(channels): channels for channels in Channels}
_NEEDED = {
    Channels.RGB: "[height, width, 3]",
    Channels.BGR: "[height, width, 3]",
    Channels.RGBX: "[height, width, 4]",
    Channels.BGRX: "[height, width, 4]",
    Channels.GREY: "[height, width] or [height, width, 1]",
    Channels.YUV420: "[height * 3 / 2, width], both even: the planes Y, U and V, one after another, without padding",
}
_SCALING = {
    "b": "use image.astype(np.uint8) * 255",
    "f": "scale it to 0..255, such as (image * 255).clip(0, 255).astype(np.uint8) if white is 1",
    "u": "scale it to 0..255, such as (image >> 8).astype(np.uint8) if white is 65535",
    "i": "if its values are 0..255, use image.astype(np.uint8)",
}


def channels_of(name: str) -> Channels:
    """The channels of this name. `InvalidTensor`: there are none."""
    channels = _BY_NAME.get(name)
    if channels is None:
        raise InvalidTensor(f"channels: {name!r} is not one of {', '.join(Channels)}")
    return channels


def check_pixels(dtype: np.dtype[Any], shape: tuple[int, ...], channels: Channels) -> None:
    """`InvalidTensor`, with what to do, unless an array of this dtype and shape is an image with these channels."""
    if dtype != np.uint8:
        raise InvalidTensor(
            f"the image array has dtype {dtype}, expected uint8: {_SCALING.get(dtype.kind, 'it holds no numbers')}"
        )
    if not fits(shape, channels):
        raise InvalidTensor(
            f"the image array has shape {list(shape)}, expected {_NEEDED[channels]} "
            f'with channels="{channels}"{_hint(shape)}'
        )
    if 0 in shape:
        raise InvalidTensor(f"the image array has shape {list(shape)}, which holds no pixels")


@lru_cache
def fits(shape: tuple[int, ...], channels: Channels) -> bool:
    """Whether an array of this shape can be an image with these channels."""
    match channels, shape:
        case (Channels.RGB | Channels.BGR, (_, _, 3)) | (Channels.RGBX | Channels.BGRX, (_, _, 4)):
            return True
        case Channels.GREY, (_, _) | (_, _, 1):
            return True
        case Channels.YUV420, (rows, width):
            return rows % 3 == 0 and width % 2 == 0
    return False


def _hint(shape: tuple[int, ...]) -> str:
    match shape:
        case (1 | 3 | 4, _, _):
            return ": if the channels come first, use image.transpose(1, 2, 0)"
        case (_, _) | (_, _, 1):
            return ': say channels="grey", or "yuv420" for a camera\'s planes'
        case (_, _, 3):
            return ': say channels="rgb", or "bgr" for OpenCV and picamera2\'s RGB888'
        case (_, _, 4):
            return (
                ': say channels="rgbx" if red comes first (RGBA of Pillow, XBGR8888 of picamera2), or "bgrx" '
                "if blue comes first (BGRA of OpenCV, XRGB8888 of picamera2)"
            )
        case (_, _, _, _):
            return ": send one image in each call"
    return ""
