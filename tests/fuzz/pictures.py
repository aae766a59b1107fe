"""Small real images in every format that is read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from collabd.imaging.formats import AVIF

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", *(["AVIF"] if AVIF else []))


def encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A gradient of 12 x 10 pixels."""
    rows, columns = np.mgrid[0:10, 0:12]
    gradient = np.stack((rows * 25, columns * 20, rows * columns), axis=-1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(gradient).convert(mode).save(out, kind, **options)
    return out.getvalue()
