"""From the caller's image, in whatever form, to the network's input: uint8 [1, height, width, 3].

Both daemons use the same code, so that a network sees the same pixels whichever of them prepared the image. Images come
from strangers. So size and kind are read from the header before anything is decoded, and decoding is bounded: in memory
(at worst three copies of four times MAX_PIXELS, and the coefficients of a JPEG) and in work (seconds).
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.channels import Channels
from collab_sdk.pillow import UPRIGHT
from collabd.catalog.package.manifest import Preprocessing
from collabd.imaging.bounds import MAX_PIXELS, MAX_SIDE
from collabd.imaging.frames import fitted_frame, frame_size, one_frame
from collabd.imaging.opening import OpenImage

__all__ = ["MAX_PIXELS", "MAX_SIDE", "OpenImage", "frame_size", "one_frame", "prepare"]

# A large image is first shrunk by whole numbers, in the JPEG decoder or by averaging, to no less than twice its target.
# That is several times faster for photographs, and bounds the memory of resizing an image of 1 x 1,000,000 pixels.
_GAP = 2

# Pillow warns about what the sender did, and the sender does not read our journal.
warnings.filterwarnings("ignore", module=r"PIL\.")

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(
    image: bytes | OpenImage | NDArray[Any], spec: Preprocessing, channels: Channels = Channels.RGB
) -> NDArray[np.uint8]:
    """The network's input, uint8 [1, spec.height, spec.width, 3], C order, which nobody may write to.

    `image` is an encoded image, open or not, or a uint8 array with these `channels`. Of an animation the first frame is
    taken. An image is turned upright as its EXIF data say, and loses its transparency. Raises InvalidImage,
    InvalidTensor. Thread-safe, except for two threads with the same open image.
    """
    if isinstance(image, np.ndarray):
        size = (spec.width, spec.height)
        return fitted_frame(image, channels, partial(_fit, size=size, spec=spec))[np.newaxis]
    return _from_file(image if isinstance(image, OpenImage) else OpenImage(image), spec)[np.newaxis]


def _from_file(file: OpenImage, spec: Preprocessing) -> NDArray[np.uint8]:
    picture, orientation = file.decoded(_GAP * max(spec.height, spec.width, spec.resize_shorter or 0))
    size = (spec.width, spec.height) if orientation < 5 else (spec.height, spec.width)
    fitted = _fit(picture, size, spec)
    # Turned last, since it is small by then.
    return np.asarray(fitted.transpose(Image.Transpose(UPRIGHT[orientation])) if orientation in UPRIGHT else fitted)


def _fit(picture: Image.Image, size: tuple[int, int], spec: Preprocessing) -> Image.Image:
    return picture.resize(size, _RESAMPLING[spec.interpolation], _box(picture.size, size, spec.resize_shorter), _GAP)


def _box(
    source: tuple[int, int], target: tuple[int, int], resize_shorter: int | None
) -> tuple[float, float, float, float] | None:
    """The part of the source whose resizing to the target equals resizing all of it and cropping the centre."""
    if resize_shorter is None:
        return None
    resized = [resize_shorter * side // min(source) for side in source]
    left, top = (round((whole - part) / 2) for whole, part in zip(resized, target, strict=True))
    x, y = source[0] / resized[0], source[1] / resized[1]
    return left * x, top * y, (left + target[0]) * x, (top + target[1]) * y
