"""The images that calibrate a package, as its network takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collabd.catalog.graph.probe_images import probe_images
from collabd.catalog.package.manifest import Picture
from collabd.imaging import OpenImage, prepare
from collabd.profiling.evidence import distinct
from collabd.tasks.geometry import placement_of

_JPEG = b"\xff\xd8\xff"
# Pixels down and right: no multiple of the 2, 8 and 16 pixels by which JPEG divides an image.
_MOVED = (3, 5)


class Samples(NamedTuple):
    """Pictures as a network takes them, uint8 [images, height, width, 3].

    `sizes`: width and height that each had before. `given`: of how many they are what is left, without copies; 0 if
    they were made by rule.
    """

    pixels: npt.NDArray[np.uint8]
    sizes: tuple[tuple[int, int], ...]
    given: int


def calibration_pixels(images: Sequence[bytes | npt.NDArray[np.uint8]], wanted: Picture) -> Samples:
    """The images, each once. If there are none, images made by rule.

    A JPEG that needs no resizing is moved by a few pixels. Its pixels lie on the grid of its own blocks, where another
    JPEG of that quality loses nothing: AlexNet changed its mind about 4 of 1,000 CIFAR-10 images at quality 75, and
    about 77 once they were moved. A camera's frame has no such grid.
    """
    if not images:
        made = probe_images(wanted.height, wanted.width)
        return Samples(made, ((wanted.width, wanted.height),) * len(made), given=0)
    pixels = np.concatenate([sample_pixels(image, wanted) for image in images])
    kept = distinct(pixels)
    return Samples(pixels[kept], tuple(_size(images[index]) for index in kept), given=len(images))


def _size(image: bytes | npt.NDArray[np.uint8]) -> tuple[int, int]:
    if isinstance(image, bytes):
        return OpenImage(image).upright_size
    height, width = image.shape[:2]
    return width, height


def sample_pixels(image: bytes | npt.NDArray[np.uint8], wanted: Picture) -> npt.NDArray[np.uint8]:
    """One image, as `calibration_pixels` has it: uint8 [1, height, width, 3]."""
    pixels = prepare(image, wanted)
    if isinstance(image, bytes) and _keeps_its_grid(image, wanted):
        return _moved(pixels)
    return pixels


def _keeps_its_grid(image: bytes, wanted: Picture) -> bool:
    """Whether this is a JPEG that is not resized."""
    if not image.startswith(_JPEG):
        return False
    seen, filled = placement_of(wanted, *OpenImage(image).upright_size)
    return all(math.isclose(seen[end] - seen[end - 2], filled[end] - filled[end - 2]) for end in (2, 3))


def _moved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same picture further down and to the right; what comes in at the edges mirrors it."""
    down, right = _MOVED
    height, width = pixels.shape[1:3]
    return np.pad(pixels, ((0, 0), (down, 0), (right, 0), (0, 0)), mode="symmetric")[:, :height, :width]
