"""An image to JPEG, and back from bytes that are not trusted."""

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

# At this quality a photograph of 224x224 has about 15 kB.
_QUALITY = 90
# Several times the bytes of its tables and markers.
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
    # A JPEG may have scan after scan over the same pixels, each of few bytes and much work: this bounds them.
    if len(data) > math.prod(shape) + _HEADER_BYTES:
        raise CodecError(f"the JPEG has {len(data)} bytes, more than its tensor of shape {shape}")
    # `Image.open` would try other decoders; and the size is checked here before any pixel is decoded.
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
