"""The images that calibrate a package, as its network takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collabd.catalog.graph.probe_images import probe_images
from collabd.catalog.package.manifest import Preprocessing
from collabd.imaging import OpenImage, prepare
from collabd.profiling.evidence import distinct

_JPEG = b"\xff\xd8\xff"
# Pixels down and right: no multiple of the 2, 8 and 16 pixels by which JPEG divides an image.
_MOVED = (3, 5)


def calibration_pixels(images: Sequence[bytes | npt.NDArray[np.uint8]], wanted: Preprocessing) -> npt.NDArray[np.uint8]:
    """The images, each once, uint8 [images, height, width, 3]. If there are none, images made by rule.

    A JPEG that needs no resizing is moved by a few pixels. Its pixels lie on the grid of its own blocks, where another
    JPEG of that quality loses nothing: AlexNet changed its mind about 4 of 1,000 CIFAR-10 images at quality 75, and
    about 77 once they were moved. A camera's frame has no such grid.
    """
    if not images:
        return probe_images(wanted.height, wanted.width)
    return distinct(np.concatenate([_prepared(image, wanted) for image in images]))


def _prepared(image: bytes | npt.NDArray[np.uint8], wanted: Preprocessing) -> npt.NDArray[np.uint8]:
    pixels = prepare(image, wanted)
    if isinstance(image, bytes) and _keeps_its_grid(image, wanted):
        return _moved(pixels)
    return pixels


def _keeps_its_grid(image: bytes, wanted: Preprocessing) -> bool:
    """Whether this is a JPEG that is not resized."""
    if not image.startswith(_JPEG):
        return False
    size = OpenImage(image).size
    if wanted.resize_shorter is not None:
        return min(size) == wanted.resize_shorter
    return size == (wanted.width, wanted.height)


def _moved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same picture further down and to the right; what comes in at the edges mirrors it."""
    down, right = _MOVED
    height, width = pixels.shape[1:3]
    return np.pad(pixels, ((0, 0), (down, 0), (right, 0), (0, 0)), mode="symmetric")[:, :height, :width]
