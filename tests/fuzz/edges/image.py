"""An encoded image from any caller, up to the network's input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from collab_sdk.errors import InvalidImage, InvalidTensor
from collab_sdk.image import image_tensor
from collabd.catalog.package.manifest import Picture
from collabd.imaging import MAX_PIXELS, OpenImage, prepare
from tests.fuzz import pictures

SPECS = (
    Picture(height=8, width=8),
    Picture(height=6, width=9, rule="crop", resize_shorter=12, interpolation="bicubic"),
)
WORDS = (
    *("IHDR", "IDAT", "PLTE", "tRNS", "IEND", "Exif", "JFIF", "GIF89a", "RIFF", "WEBP", "VP8L"),
    *("VP8X", "BM", "P6", "ftypavif", "ispe", "irot"),
    "VP8 ",
)


def check(data: bytes) -> None:
    """`InvalidImage`, or an input of the network's size from an image within the bounds."""
    with warnings.catch_warnings():
        # As `collabd.imaging` has it, which pytest overrides.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        _check(data)


def _check(data: bytes) -> None:
    try:
        width, height = OpenImage(data).size
    except InvalidImage:
        return
    # A JPEG may be larger, since its decoder makes it smaller.
    assert 0 < width * height <= 4 * MAX_PIXELS
    assert image_tensor(data).to_bytes_list() == [data]
    # Decoding the largest takes a second and half a gigabyte of memory: their bounds are tested in tests/unit.
    if width * height > 2**20:
        return
    for spec in SPECS:
        try:
            pixels = prepare(data, spec)
        except (InvalidImage, InvalidTensor):
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape == (1, spec.height, spec.width, 3)


def seeds() -> list[bytes]:
    """Every format, and the modes of each that mean another way to RGB."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    variants: list[tuple[str, str, dict[str, Any]]] = [
        *(("PNG", mode, {}) for mode in ("L", "LA", "RGBA", "P", "1", "I;16")),
        *(("JPEG", mode, {"exif": exif}) for mode in ("RGB", "L", "CMYK")),
        *(("WEBP", mode, {"lossless": True}) for mode in ("RGB", "RGBA")),
        *((kind, mode, {}) for kind in ("BMP", "PPM") for mode in ("L", "1")),
        ("JPEG", "RGB", {"progressive": True}),
    ]
    plain = [pictures.encoded(kind) for kind in pictures.FORMATS]
    jpeg = pictures.encoded("JPEG", restart_marker_blocks=1)
    cut = [jpeg[:-2], jpeg[:-9] + b"\xff\xd9", jpeg[:2] + jpeg, jpeg[:-2] + jpeg]
    return [*plain, *cut, *(pictures.encoded(kind, mode, **more) for kind, mode, more in variants)]
