"""An image as JPEG, and back from bytes that nobody vouches for."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from collabd.codec.errors import CodecError

# At this quality a 224x224 photograph is about 15 kB.
_QUALITY = 90
# Its tables and markers, several times over.
_HEADER_BYTES = 4096


def compress(array: NDArray[np.uint8]) -> bytes:
    """The JPEG of a uint8 image of shape [1, H, W, 3]; CodecError where that is more than JPEG can hold."""
    out = io.BytesIO()
    try:
        Image.fromarray(array[0]).save(out, "JPEG", quality=_QUALITY)
    except (OSError, ValueError) as error:
        raise CodecError(f"cannot make a JPEG of an image of shape {array.shape}: {error}") from None
    return out.getvalue()


def decompress(data: bytes | memoryview, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels, uint8 of exactly `shape`; CodecError if the JPEG is damaged or of another size."""
    # No scan after scan over the same pixels: a few bytes each, and much work.
    if len(data) > math.prod(shape) + _HEADER_BYTES:
        raise CodecError(f"the JPEG has {len(data)} bytes, more than its tensor of shape {shape}")
    # Not Image.open: the size is checked here, before any pixel, and no other decoder is ever tried.
    with _damage_is_ours():
        image = JpegImageFile(io.BytesIO(data))
    if image.size != (shape[2], shape[1]) or image.mode != "RGB":
        raise CodecError(
            f"the JPEG has {image.size[0]}x{image.size[1]} pixels ({image.mode}), but its tensor has the shape {shape}"
        )
    with _damage_is_ours():
        image.load()
    return np.array(image)[np.newaxis]


@contextmanager
def _damage_is_ours() -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error) as error:
        raise CodecError(f"the JPEG is damaged: {error}") from None
