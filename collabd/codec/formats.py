"""The codecs that lay values out one after the other, before any compression."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collabd.codec import affine
from collabd.codec.errors import CodecError

Shape = tuple[int, ...]
Axis = int | None


@dataclass(frozen=True)
class Format:
    """One layout. An axis is ignored by those that have one scale or none."""

    accepts: Callable[[np.dtype[Any]], bool]
    nbytes: Callable[[np.dtype[Any], Shape, Axis], int]
    pack: Callable[[NDArray[Any], Axis], bytes]
    # From exactly `nbytes` bytes; CodecError if what they hold is not sound.
    unpack: Callable[[bytes | memoryview, np.dtype[Any], Shape, Axis], NDArray[Any]]
    per_channel: bool = False


def _is_float32(dtype: np.dtype[Any]) -> bool:
    return dtype == np.float32


def _plain_nbytes(dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> int:
    return math.prod(shape) * dtype.itemsize


def _plain_pack(array: NDArray[Any], _axis: Axis) -> bytes:
    return array.tobytes()


def _plain_unpack(data: bytes | memoryview, dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> NDArray[Any]:
    if dtype == np.bool_ and (np.frombuffer(data, np.uint8) > 1).any():
        raise CodecError("a boolean is neither 0 nor 1")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _half_pack(array: NDArray[Any], _axis: Axis) -> bytes:
    with np.errstate(over="ignore", invalid="ignore"):
        halves = array.astype("<f2")
    _check_finite(halves)
    return halves.tobytes()


def _half_unpack(data: bytes | memoryview, _dtype: np.dtype[Any], shape: Shape, _axis: Axis) -> NDArray[Any]:
    halves = np.frombuffer(data, "<f2")
    _check_finite(halves)
    return halves.astype(np.float32).reshape(shape)


def _check_finite(halves: NDArray[np.float16]) -> None:
    # The exponent's bits, all set; isfinite converts every value to float32 first.
    if ((halves.view(np.uint16) & 0x7C00) == 0x7C00).any():
        raise CodecError("NaN, infinity or a magnitude above 65504 does not fit f16: use f32")


def _affine(bits: int) -> Format:
    return Format(
        accepts=_is_float32,
        nbytes=lambda _dtype, shape, axis: affine.nbytes(shape, bits, axis),
        pack=lambda array, axis: affine.quantise(array, bits, axis),
        unpack=lambda data, _dtype, shape, axis: affine.dequantise(data, bits, axis, shape),
        per_channel=True,
    )


_plain = partial(Format, nbytes=_plain_nbytes, pack=_plain_pack, unpack=_plain_unpack)

FORMATS = {
    "f32": _plain(_is_float32),
    "f16": Format(_is_float32, lambda _dtype, shape, _axis: 2 * math.prod(shape), _half_pack, _half_unpack),
    "q8": _affine(8),
    "q4": _affine(4),
    "u8": _plain(lambda dtype: dtype == np.uint8),
    "raw": _plain(lambda dtype: dtype.kind in "biuf"),
}
