"""From the caller's image, in whatever form, to the network's input: uint8 [1, height, width, 3].

Both daemons use the same code, so that a network sees the same pixels whichever of them prepared the image. Images come
from strangers. So size and kind are read from the header before anything is decoded, and decoding is bounded: in memory
(at worst three copies of four times MAX_PIXELS, and the coefficients of a JPEG) and in work (seconds).
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.channels import Channels
from collab_sdk.pillow import UPRIGHT
from collabd.catalog.package.manifest import Picture
from collabd.imaging.bounds import MAX_PIXELS, MAX_SIDE
from collabd.imaging.frames import fitted_frame, frame_size, one_frame
from collabd.imaging.opening import OpenImage
from collabd.tasks.geometry import PicturePlace, placement_of

__all__ = ["MAX_PIXELS", "MAX_SIDE", "OpenImage", "frame_size", "one_frame", "prepare"]

# A large image is first shrunk by whole numbers, in the JPEG decoder or by averaging, to no less than twice its target.
# That is several times faster for photographs, and bounds the memory of resizing an image of 1 x 1,000,000 pixels.
_GAP = 2

# Pillow warns about what the sender did, and the sender does not read our journal.
warnings.filterwarnings("ignore", module=r"PIL\.")

Box: TypeAlias = tuple[float, float, float, float]

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(
    image: bytes | OpenImage | NDArray[Any], spec: Picture, channels: Channels = Channels.RGB
) -> NDArray[np.uint8]:
    """The network's input, uint8 [1, spec.height, spec.width, 3], C order, which nobody may write to.

    `image` is an encoded image, open or not, or a uint8 array with these `channels`. Of an animation the first frame is
    taken. An image is turned upright as its EXIF data say, and loses its transparency. Raises InvalidImage,
    InvalidTensor. Thread-safe, except for two threads with the same open image.
    """
    if isinstance(image, np.ndarray):
        frame = one_frame(image, channels)
        size = frame_size(frame, channels)
        placed = placement_of(spec, *size)
        return _padded(fitted_frame(frame, channels, partial(_fit, size=size, placed=placed, spec=spec)), placed, spec)
    return _from_file(image if isinstance(image, OpenImage) else OpenImage(image), spec)


def _from_file(file: OpenImage, spec: Picture) -> NDArray[np.uint8]:
    picture, orientation = file.decoded(_GAP * max(spec.height, spec.width, spec.resize_shorter or 0))
    upright = file.size if orientation < 5 else file.size[::-1]
    placed = placement_of(spec, *upright)
    lies = placed if orientation < 5 else _turned(placed)
    fitted = _fit(picture, size=file.size, placed=lies, spec=spec)
    # Turned last, since it is small by then.
    turned = fitted.transpose(Image.Transpose(UPRIGHT[orientation])) if orientation in UPRIGHT else fitted
    return _padded(np.asarray(turned), placed, spec)


def _turned(placed: PicturePlace) -> PicturePlace:
    """The same with height and width swapped, as the picture lies in its file."""
    seen, filled = placed
    return PicturePlace((seen[1], seen[0], seen[3], seen[2]), (filled[1], filled[0], filled[3], filled[2]))


def _fit(picture: Image.Image, *, size: tuple[int, int], placed: PicturePlace, spec: Picture) -> Image.Image:
    """What is seen of a picture of this size, as large as what it fills. It may have been made smaller in decoding."""
    left, top, right, bottom = placed.filled
    seen = placed.seen if picture.size == size else _scaled(placed.seen, size, picture.size)
    return picture.resize((right - left, bottom - top), _RESAMPLING[spec.interpolation], seen, _GAP)


def _scaled(box: Box, size: tuple[int, int], smaller: tuple[int, int]) -> Box:
    left, top, right, bottom = (
        min(at * there / here, there) for at, here, there in zip(box, size * 2, smaller * 2, strict=True)
    )
    return left, top, right, bottom


def _padded(fitted: NDArray[np.uint8], placed: PicturePlace, spec: Picture) -> NDArray[np.uint8]:
    """The network's input, with `fitted` where it belongs."""
    if fitted.shape[:2] == (spec.height, spec.width):
        return fitted[np.newaxis]
    left, top, right, bottom = placed.filled
    whole = np.full((1, spec.height, spec.width, 3), spec.pad, np.uint8)
    whole[0, top:bottom, left:right] = fitted
    return whole
