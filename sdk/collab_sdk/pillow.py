"""From a Pillow image to upright RGB: one rule for the SDK and the daemons. Pillow itself is not imported.

Sixteen bits are scaled to eight, transparency is dropped, colour profiles are not applied. Of an animation that frame
counts at which the image stands.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Protocol, runtime_checkable

from collab_sdk.errors import InvalidImage

__all__ = ["DAMAGE", "UPRIGHT", "PilImage", "orientation_of", "to_rgb"]

# What Pillow raises for bytes that it cannot read.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, MemoryError, RuntimeError),
    *(struct.error, zlib.error),
)
# EXIF's orientations and the number of Pillow's transposition that shows each upright. From 5 on the sides swap.
UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

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
        """Decode what was only opened."""

    def convert(self, mode: str) -> Any:
        """The image in another mode."""

    def getexif(self) -> Any:
        """The EXIF data, a mapping."""


def to_rgb(image: PilImage) -> Any:
    """The image in mode RGB.

    `InvalidImage`: floats, or grey of more than 16 bits. What Pillow cannot decode or convert raises one of `DAMAGE`.
    """
    # Before the mode is looked at: loading may change it.
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise InvalidImage(
            'a PIL image of floats (mode "F") does not say which value is white: scale it to 0..255, mode "L"'
        )
    if image.mode.startswith("I"):
        return _scaled(image).convert("RGB")
    # Straight to RGB, Pillow warns of a palette's transparency.
    return (image.convert("RGBA") if image.mode in {"P", "PA"} else image).convert("RGB")


def _scaled(image: PilImage) -> Any:
    """16 bits of grey as 8, also where Pillow keeps them in 32; its own conversion clips."""
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
