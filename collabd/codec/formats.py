"""The table of codecs: how each turns values into bytes and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collabd.codec import affine, jpeg
from collabd.codec.errors import CodecError

Shape = tuple[int, ...]
Axis = int | None


@dataclass(frozen=True, kw_only=True)
class CodecFormat:
    """How one codec lays out values. Formats with one scale, or with none, ignore the axis."""

    accepts: Callable[[np.dtype[Any]], bool]
    pack: Callable[[NDArray[Any], Axis], memoryview]
    # Takes exactly `nbytes` bytes; CodecError if their content is not sound.
    unpack: Callable[[bytes | memoryview, np.dtype[Any], Shape, Axis], NDArray[Any]]
    # The bytes that `pack` makes, which are compressed afterwards. None: `pack` compresses, and the values decide.
    nbytes: Callable[[np.dtype[Any], Shape, Axis], int] | None
    # The name on the wire, where one decoder reads what several codecs write; None: the codec's own.
    travels_as: str | None = None
    # Whether it can have one scale for each index of an axis.
    per_channel: bool = False
    is_lossless: bool = False


def _is_float32(dtype: np.dtype[Any]) -> bool:
    return dtype == np.float32


def _is_uint8(dtype: np.dtype[Any]) -> bool:
    return dtype == np.uint8


def _plain_nbytes(dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> int:
    return math.prod(shape) * dtype.itemsize


def _plain_pack(array: NDArray[Any], _axis: Axis) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _plain_unpack(data: bytes | memoryview, dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> NDArray[Any]:
    if dtype == np.bool_ and (np.frombuffer(data, np.uint8) > 1).any():
        raise CodecError("a boolean is neither 0 nor 1")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _half_pack(array: NDArray[Any], _axis: Axis) -> memoryview:
    with np.errstate(over="ignore", invalid="ignore"):
        halves = array.astype("<f2")
    _check_finite(halves)
    return _plain_pack(halves, None)


def _half_unpack(data: bytes | memoryview, _dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> NDArray[Any]:
    halves = np.frombuffer(data, "<f2")
    _check_finite(halves)
    return halves.astype(np.float32).reshape(shape)


def _check_finite(halves: NDArray[np.float16]) -> None:
    # All bits of the exponent are set. `isfinite` would convert every value to float32 first.
    if ((halves.view(np.uint16) & 0x7C00) == 0x7C00).any():
        raise CodecError("NaN, infinity or a magnitude above 65504 does not fit f16: use f32")


def _affine(bits: int) -> CodecFormat:
    return CodecFormat(
        accepts=_is_float32,
        nbytes=lambda _dtype, shape, axis: affine.nbytes(shape, bits, axis),
        pack=lambda array, axis: affine.quantise(array, bits, axis),
        unpack=lambda data, _dtype, shape, axis: affine.dequantise(data, bits=bits, axis=axis, shape=shape),
        per_channel=True,
    )


_plain = partial(CodecFormat, nbytes=_plain_nbytes, pack=_plain_pack, unpack=_plain_unpack, is_lossless=True)

# The formats of what crosses behind a layer.
FEATURE_FORMATS = {
    "f32": _plain(accepts=_is_float32),
    "f16": CodecFormat(
        accepts=_is_float32,
        nbytes=lambda _dtype, shape, _axis: 2 * math.prod(shape),
        pack=_half_pack,
        unpack=_half_unpack,
    ),
    "q8": _affine(8),
    "q4": _affine(4),
}


def _jpeg(quality: int, subsampling: jpeg.Subsampling) -> CodecFormat:
    return CodecFormat(
        accepts=_is_uint8,
        nbytes=None,
        pack=lambda image, _axis: jpeg.compress(image, quality, subsampling),
        unpack=lambda data, _dtype, shape, _axis: jpeg.decompress(data, shape),
        travels_as=JPEG,
    )


# What a JPEG of any quality is called on the wire.
JPEG = "jpeg"
# The formats of the image. Without a suffix a JPEG has half the resolution in colour (4:2:0), as cameras write it;
# "-444" keeps all of it, which takes a fifth more bytes and often changes an answer less than a higher quality does.
IMAGE_FORMATS = {
    "u8": _plain(accepts=_is_uint8),
    "jpeg75": _jpeg(75, "4:2:0"),
    "jpeg75-444": _jpeg(75, "4:4:4"),
    "jpeg90": _jpeg(90, "4:2:0"),
    "jpeg90-444": _jpeg(90, "4:4:4"),
    "jpeg95": _jpeg(95, "4:2:0"),
    "jpeg95-444": _jpeg(95, "4:4:4"),
}
# What a caller means who asks for "jpeg".
USUAL_JPEG = "jpeg90"
# "raw" is for the small tensors beside a feature, such as shapes.
FORMATS = (
    FEATURE_FORMATS
    | IMAGE_FORMATS
    | {JPEG: IMAGE_FORMATS[USUAL_JPEG], "raw": _plain(accepts=lambda dtype: dtype.kind in "biuf")}
)
