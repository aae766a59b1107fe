"""The scales of an affine quantisation: one for a tensor, or one for each channel.

Per tensor, low and scale are one float32 each. Per channel they are the upper halves of float32s (bfloat16), rounded
such that low + q·scale still spans the channel. A late layer has few values a channel, so that whole float32s would be
a fifth of its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collabd.codec.errors import CodecError

Floats = NDArray[np.float32]

_FLOAT32 = np.finfo(np.float32)
_CARRY = np.uint32(0xFFFF)
_UPPER_HALF = np.uint32(0xFFFF0000)

# Arithmetic with a NaN must not warn, since the NaN is refused right afterwards.
_quiet = np.errstate(invalid="ignore")


def nbytes(shape: tuple[int, ...], axis: int | None) -> int:
    """The bytes of the scales of an array of this shape."""
    return 8 if axis is None else 4 * shape[axis]


@dataclass(frozen=True)
class Scales:
    """What the integers 0..levels stand for: low + q·scale. Both arrays broadcast against the values."""

    low: Floats
    scale: Floats

    @classmethod
    @_quiet
    def fit(cls, array: Floats, levels: int, axis: int | None) -> Scales:
        """The scales that span `array`; CodecError for NaN, infinity and a span that float32 cannot compute with."""
        low, high = _extremes(array, axis)
        if axis is not None:
            low = _round(low, _CARRY * (low < 0))
        # In float64, since the span may overflow. At least a normal number, since its inverse must not overflow.
        scale = np.maximum((high.astype(np.float64) - low) / levels, _FLOAT32.tiny).astype(np.float32)
        if axis is not None:
            scale = _round(scale, _CARRY)
        if not _computable(low, scale, levels):
            raise CodecError("NaN, infinity or values too far apart cannot be quantised: use f32")
        return cls(low, scale)

    def to_bytes(self, axis: int | None) -> bytes:
        """Lows, then scales."""
        both = np.concatenate((self.low, self.scale), axis=None).astype("<f4", copy=False)
        return (both if axis is None else both.view("<u2")[1::2]).tobytes()

    @classmethod
    @_quiet
    def from_bytes(cls, data: bytes | memoryview, *, levels: int, axis: int | None, ndim: int) -> Scales:
        """The scales in exactly `nbytes` bytes; CodecError if some value 0..levels would not be a finite float32."""
        if axis is None:
            both = np.frombuffer(data, "<f4").astype(np.float32)
        else:
            both = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        low, scale = both.reshape(2, *(-1 if i == axis else 1 for i in range(ndim)))
        if not _computable(low, scale, levels):
            raise CodecError("the payload's scales do not fit float32")
        return cls(low, scale)


def _extremes(array: Floats, axis: int | None) -> tuple[Floats, Floats]:
    others = tuple(i for i in range(array.ndim) if i != axis)
    if array.size == 0:
        nothing = np.zeros([1 if i in others else n for i, n in enumerate(array.shape)], np.float32)
        return nothing, nothing
    return array.min(others, keepdims=True), array.max(others, keepdims=True)


def _round(values: Floats, carry: NDArray[np.uint32] | np.uint32) -> Floats:
    """Round to 16 bits: away from zero where there is a carry, else towards zero."""
    return ((values.view(np.uint32) + carry) & _UPPER_HALF).view(np.float32)


def _computable(low: Floats, scale: Floats, levels: int) -> bool:
    """Whether low + q·scale and both terms are finite for each q. With NaN the comparisons are false."""
    largest = np.abs(low, dtype=np.float64) + np.multiply(scale, levels, dtype=np.float64)
    return bool((scale > 0).all() and (largest <= _FLOAT32.max).all())
