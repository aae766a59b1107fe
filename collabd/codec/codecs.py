"""The two functions that turn every feature into bytes and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collabd.codec.errors import CodecError
from collabd.codec.formats import FEATURE_FORMATS, FORMATS, IMAGE_FORMATS, JPEG, CodecFormat
from collabd.codec.squeeze import squeeze, unsqueeze

FEATURE_CODECS = tuple(FEATURE_FORMATS)
IMAGE_CODECS = tuple(IMAGE_FORMATS)
JPEG_CODECS = tuple(name for name, layout in IMAGE_FORMATS.items() if layout.travels_as == JPEG)
LOSSLESS = frozenset(name for name, layout in FORMATS.items() if layout.is_lossless)
PER_CHANNEL = frozenset(name for name, layout in FORMATS.items() if layout.per_channel)

# The most bytes of one decoded tensor, which bounds what a peer makes us allocate. VGG16's widest feature of a batch of
# 20 images has as many.
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Encoded:
    """What goes on the wire: the payload, and the tensor parameters without which it cannot be read.

    The payload may be the memory of the array itself, which must not change as long as the payload is used.
    """

    payload: bytes | memoryview
    parameters: dict[str, str | int | bool]


def encode(array: NDArray[Any], codec: str, channel_axis: int | None = None) -> Encoded:
    """`array` as bytes.

    A feature codec (f32, f16, q8, q4) carries float32 of any shape; other numbers travel unchanged, as "raw".
    `channel_axis` gives q8 and q4 one scale for each index of that axis; the others ignore it. "u8" carries any uint8
    array, a JPEG codec one uint8 image of shape [1, H, W, 3]. Raises CodecError if the codec cannot carry the array:
    NaN, infinity or a magnitude beyond its range; f32 carries them all.
    """
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if codec in FEATURE_CODECS and array.dtype != np.float32:
        codec = "raw"
    layout = _format(codec, array.dtype)
    axis = _checked_axis(channel_axis, array.ndim) if layout.per_channel else None
    packed = layout.pack(array, axis)
    payload, squeezed = (packed, False) if layout.nbytes is None else squeeze(packed)
    parameters: dict[str, str | int | bool] = {"codec": layout.travels_as or codec, "zstd": squeezed}
    if axis is not None:
        parameters["channel_axis"] = axis
    return Encoded(payload, parameters)


def decode(
    payload: bytes | memoryview, parameters: Mapping[str, object], *, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """The array of `dtype` and `shape` from which `encode` made `payload`: C order, writable, in its own memory.

    Raises CodecError for anything that is not exactly what `parameters`, `dtype` and `shape` claim. Memory is bounded
    by `shape`, so check `shape` against the model first. Only f32 and raw can contain NaN or infinity.
    """
    codec, squeezed = parameters.get("codec"), parameters.get("zstd", False)
    if not (isinstance(codec, str) and isinstance(squeezed, bool)):
        raise CodecError(
            f"the tensor's parameter 'codec' must be text and 'zstd' a boolean, not {codec!r} and {squeezed!r}"
        )
    _check_shape(dtype, shape)
    layout = _format(codec, dtype)
    axis = _checked_axis(parameters.get("channel_axis"), len(shape)) if layout.per_channel else None
    if layout.nbytes is None:
        if squeezed:
            raise CodecError(f"{codec} is not compressed again")
        return layout.unpack(payload, dtype, shape, axis)
    size = layout.nbytes(dtype, shape, axis)
    data = unsqueeze(payload, size) if squeezed else payload
    if len(data) != size:
        raise CodecError(f"the tensor has {len(data)} bytes, but {codec} of shape {list(shape)} takes {size}")
    return layout.unpack(data, dtype, shape, axis)


def _format(codec: str, dtype: np.dtype[Any]) -> CodecFormat:
    layout = FORMATS.get(codec)
    if layout is None:
        raise CodecError(f"unknown codec {codec!r}: it is one of {', '.join(FORMATS)}")
    if not layout.accepts(dtype):
        raise CodecError(f"codec {codec} cannot carry {dtype}")
    return layout


def _checked_axis(axis: object, ndim: int) -> int | None:
    if axis is None:
        return None
    if not isinstance(axis, int) or isinstance(axis, bool) or not 0 <= axis < ndim:
        raise CodecError(f"channel_axis {axis!r} is not an axis of a tensor with {ndim} dimensions")
    return axis


def _check_shape(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape):
        raise CodecError(f"{list(shape)} is not a shape")
    # numpy has at most 32 dimensions before 2.0, and refuses a product that is too large without its zeros.
    if len(shape) > 32 or math.prod(max(n, 1) for n in shape) * dtype.itemsize > MAX_BYTES:
        raise CodecError(f"a tensor of shape {list(shape)} takes more than {MAX_BYTES} bytes")
