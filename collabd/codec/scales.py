"""The scales of an affine quantisation: one for a tensor, or one for each channel.

Per tensor, low and scale are one float32 each. Per channel they are the upper halves of float32s (bfloat16), rounded
such that low + q·scale still spans the channel. A late layer has few values a channel, so that whole float32s would be
a fifth of its bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collabd.codec.errors import CodecError

Floats = NDArray[np.float32]

_MOST = float(np.finfo(np.float32).max)
# The least scale is a normal number, since its inverse must not overflow.
_LEAST = float(np.finfo(np.float32).tiny)
_PAIR = struct.Struct("<2f")
_CARRY = np.uint32(0xFFFF)
_UPPER_HALF = np.uint32(0xFFFF0000)

# Arithmetic with a NaN must not warn, since the NaN is refused right afterwards.
_quiet = np.errstate(invalid="ignore")


def nbytes(shape: tuple[int, ...], axis: int | None) -> int:
    """The bytes of the scales of an array of this shape."""
    return 8 if axis is None else 4 * shape[axis]


@dataclass(frozen=True)
class Scales:
    """What the integers 0..levels stand for: low + q·scale. Both are one number, or broadcast against the values."""

    low: Floats | np.float32
    scale: Floats | np.float32

    @classmethod
    @_quiet
    def fit(cls, array: Floats, levels: int, axis: int | None) -> Scales:
        """The scales that span `array`; CodecError for NaN, infinity and a span that float32 cannot compute with."""
        fitted = cls._of_all(array, levels) if axis is None else cls._of_channels(array, levels, axis)
        if not fitted._are_computable(levels):
            raise CodecError("NaN, infinity or values too far apart cannot be quantised: use f32")
        return fitted

    @classmethod
    def _of_all(cls, array: Floats, levels: int) -> Scales:
        # Python's numbers: numpy takes longer for one number than for the extremes of a small array.
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        return cls(np.float32(low), np.float32(max((high - low) / levels, _LEAST)))

    @classmethod
    def _of_channels(cls, array: Floats, levels: int, axis: int) -> Scales:
        others = tuple(i for i in range(array.ndim) if i != axis)
        if array.size:
            low, high = array.min(others, keepdims=True), array.max(others, keepdims=True)
        else:
            low = high = np.zeros([n if i == axis else 1 for i, n in enumerate(array.shape)], np.float32)
        low = _round(low, _CARRY * (low < 0))
        # In float64, since the span may overflow.
        scale = np.maximum((high.astype(np.float64) - low) / levels, _LEAST).astype(np.float32)
        return cls(low, _round(scale, _CARRY))

    def to_bytes(self, axis: int | None) -> bytes:
        """Lows, then scales."""
        if axis is None:
            return _PAIR.pack(self.low, self.scale)
        return np.concatenate((self.low, self.scale), axis=None).astype("<f4", copy=False).view("<u2")[1::2].tobytes()

    @classmethod
    @_quiet
    def from_bytes(cls, data: bytes | memoryview, *, levels: int, axis: int | None, ndim: int) -> Scales:
        """The scales in exactly `nbytes` bytes; CodecError if some value 0..levels would not be a finite float32."""
        if axis is None:
            low, scale = _PAIR.unpack(data)
            read = cls(np.float32(low), np.float32(scale))
        else:
            both = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
            read = cls(*both.reshape(2, *(-1 if i == axis else 1 for i in range(ndim))))
        if not read._are_computable(levels):
            raise CodecError("the payload's scales do not fit float32")
        return read

    def _are_computable(self, levels: int) -> bool:
        """Whether low + q·scale and both terms are finite for each q. With NaN the comparisons are false."""
        if isinstance(self.low, np.float32):
            low, scale = float(self.low), float(self.scale)
            return scale > 0 and abs(low) + scale * levels <= _MOST
        largest = np.abs(self.low, dtype=np.float64) + np.multiply(self.scale, levels, dtype=np.float64)
        return bool((self.scale > 0).all() and (largest <= _MOST).all())


def _round(values: Floats, carry: NDArray[np.uint32] | np.uint32) -> Floats:
    """Round to 16 bits: away from zero where there is a carry, else towards zero."""
    return ((values.view(np.uint32) + carry) & _UPPER_HALF).view(np.float32)
