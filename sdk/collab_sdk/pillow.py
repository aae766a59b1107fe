"""Turns a Pillow image into upright RGB, by one rule for the SDK and the daemons. This module does not import Pillow.

It scales 16 bits to 8, drops transparency and ignores colour profiles. Of an animation it takes the current frame.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Protocol, runtime_checkable

from collab_sdk.errors import InvalidImage

__all__ = ["DAMAGE", "TURNED", "UPRIGHT", "PilImage", "orientation_of", "to_rgb"]

# The errors that Pillow raises for bytes that it cannot read.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, MemoryError, RuntimeError),
    *(struct.error, zlib.error),
)
# For each EXIF orientation, the number of the Pillow transposition that turns the image upright.
UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
# Those that swap width and height.
TURNED = range(5, 9)

_ORIENTATION = 0x0112
_MAX_GREY = 65_535


@runtime_checkable
class PilImage(Protocol):
    """A Pillow image, known by its shape so that Pillow need not be installed."""

    @property
    def mode(self) -> str:
        """What a pixel holds, such as "RGB"."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""

    def load(self) -> Any:
        """Decode the image, which Pillow has only opened so far."""

    def convert(self, mode: str) -> Any:
        """The image in another mode."""

    def getexif(self) -> Any:
        """The EXIF data, a mapping."""


def to_rgb(image: PilImage) -> Any:
    """The image in mode RGB.

    `InvalidImage`: floats, or grey of more than 16 bits. One of `DAMAGE`: Pillow cannot decode or convert the image.
    """
    # Loading may change the mode, so the image is loaded before anything reads the mode.
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise InvalidImage(
            'a PIL image of floats (mode "F") does not say which value is white: scale it to 0..255, mode "L"'
        )
    if image.mode.startswith("I"):
        return _scaled(image).convert("RGB")
    # Pillow warns about a palette's transparency if it converts straight to RGB.
    return (image.convert("RGBA") if image.mode in {"P", "PA"} else image).convert("RGB")


def _scaled(image: PilImage) -> Any:
    """Grey of 16 bits (Pillow may hold it in 32) scaled to 8 bits; Pillow's own conversion clips."""
    grey = image.convert("I")
    darkest, lightest = grey.getextrema()
    if darkest < 0 or lightest > _MAX_GREY:
        raise InvalidImage(
            f"a PIL image of 32 bits with values from {darkest} to {lightest} does not say which value is white: "
            'scale it to 0..255, mode "L"'
        )
    return grey.point(lambda value: value * (1 / 256))


def orientation_of(image: PilImage) -> int:
    """EXIF's orientation, 1 (upright) to 8; damaged EXIF is none."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except DAMAGE:
        return 1
    return orientation if orientation in UPRIGHT else 1
