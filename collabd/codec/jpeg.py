"""An image to JPEG, and back from bytes that are not trusted."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from collabd.codec.errors import CodecError

Subsampling = Literal["4:2:0", "4:4:4"]

# Several times the bytes of its tables and markers.
_HEADER_BYTES = 4096


def compress(array: NDArray[np.uint8], quality: int, subsampling: Subsampling) -> memoryview:
    """The JPEG of a uint8 image of shape [1, H, W, 3]; CodecError for another shape, and for more than JPEG can hold.

    `quality` (1..95) is libjpeg's. With `subsampling` 4:2:0 colour has half the resolution, with 4:4:4 all of it.
    """
    _check_shape(array.shape)
    out = io.BytesIO()
    try:
        Image.fromarray(array[0]).save(out, "JPEG", quality=quality, subsampling=subsampling)
    except (OSError, ValueError) as error:
        raise CodecError(f"cannot make a JPEG of an image of shape {array.shape}: {error}") from None
    # Not its own buffer: from Python 3.13 on a file whose buffer is in use complains when it is collected first.
    return memoryview(out.getvalue())


def decompress(data: bytes | memoryview, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels, uint8 of exactly `shape`; CodecError if the JPEG is damaged or of another size."""
    _check_shape(shape)
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


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or min(shape) < 1:
        raise CodecError(f"jpeg carries one image, uint8 [1, height, width, 3], not {list(shape)}")
