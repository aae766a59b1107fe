"""Features from the network: any payload under any parameters, datatype and shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from collabd.codec import FEATURE_CODECS, CodecError, decode, encode
from tests.fuzz.choices import Choices

CODECS = (*FEATURE_CODECS, "u8", "jpeg", "raw")
DTYPES = tuple(map(np.dtype, (np.float32, np.uint8, np.int64, np.bool_, np.float16, np.object_, np.str_)))
AXES = (None, 0, 1, 2, 3, 4, -1, True, 1.0, "1")
# Small ones decode; the others must be refused before anything is allocated for them.
SIZES = (1, 2, 3, 4, 5, 8, 12, 10, 0, -1, 2**31, 2**62, 2**70)
WORDS = ("JFIF", "Exif")


def check(data: bytes) -> None:
    """`CodecError`, or an array of just the datatype and shape that were claimed."""
    choices = Choices(data)
    parameters: dict[str, Any] = {"codec": choices.pick((*CODECS, "q2", 5)), "zstd": choices.pick((False, True, 1))}
    if axis := choices.pick(AXES):
        parameters["channel_axis"] = axis
    dtype = choices.pick(DTYPES)
    shape = tuple(choices.pick(SIZES) for _ in range(choices.below(6)))
    try:
        array = decode(choices.rest(), parameters, dtype=dtype, shape=shape)
    except CodecError:
        return
    assert (array.dtype, array.shape) == (dtype, shape)
    assert array.flags.writeable
    assert array.flags.c_contiguous
    if parameters["codec"] in {"f16", "q8", "q4"}:
        assert np.isfinite(array).all()


def seeds() -> list[bytes]:
    """Every codec's own output."""
    feature = np.random.default_rng(3).normal(size=(1, 4, 5, 5)).astype(np.float32)
    flat, image = np.zeros((4, 8), np.float32), np.full((1, 10, 12, 3), 90, np.uint8)
    arrays: list[tuple[np.ndarray, str, int | None]] = [
        *((array, codec, axis) for array in (feature, flat) for codec in FEATURE_CODECS for axis in (None, 1)),
        *((image, codec, None) for codec in ("u8", "jpeg", "raw")),
    ]
    return [_input(array, codec, axis) for array, codec, axis in arrays]


def _input(array: np.ndarray, codec: str, axis: int | None) -> bytes:
    encoded = encode(array, codec, axis)
    zstd, axis_index = int(encoded.parameters["zstd"]), AXES.index(encoded.parameters.get("channel_axis"))
    shape = [SIZES.index(size) for size in array.shape]
    head = [CODECS.index(codec), zstd, axis_index, DTYPES.index(array.dtype), len(shape), *shape]
    return bytes(head) + encoded.payload
