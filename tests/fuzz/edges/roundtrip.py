"""Features of any values: each codec gives them back as exactly as it promises, or refuses them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, CodecError, decode, encode
from tests.fuzz.choices import Choices

DTYPES = tuple(map(np.dtype, (np.float32, np.uint8, np.int64, np.float64, np.int32, np.bool_, np.float16)))
CODECS = (*FEATURE_CODECS, *IMAGE_CODECS, "raw")


def check(data: bytes) -> None:
    """`CodecError`, or the array comes back."""
    choices = Choices(data)
    codec, axis, dtype = choices.pick(CODECS), choices.pick((None, 0, 1, 2, 3)), choices.pick(DTYPES)
    array = _array(choices, dtype)
    try:
        encoded = encode(array, codec, axis)
    except CodecError:
        # f32 always serves where values are float32, and so does raw where they are not.
        assert codec not in {"f32", "raw"} or (codec == "raw" and dtype.kind not in "biuf"), codec
        return
    back = decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if encoded.parameters["codec"] in {"f32", "raw", "u8"}:
        assert back.tobytes() == array.tobytes()
    elif codec in {"q8", "q4"}:
        _check_affine(array, back, 255 if codec == "q8" else 15, axis)
    elif codec == "f16":
        np.testing.assert_array_equal(back, array.astype(np.float16).astype(np.float32))


def _array(choices: Choices, dtype: np.dtype[Any]) -> NDArray[Any]:
    """As many whole rows as the bytes make."""
    inner = tuple(1 + choices.below(4) for _ in range(choices.below(4)))
    row = dtype.itemsize * int(np.prod(inner, dtype=int))
    content = choices.rest()
    content = content[: len(content) // row * row]
    if dtype == np.bool_:
        content = bytes(byte & 1 for byte in content)
    return np.frombuffer(content, dtype).reshape(-1, *inner)


def _check_affine(array: NDArray[np.float32], back: NDArray[np.float32], levels: int, axis: int | None) -> None:
    """The bound of `affine.quantise`, with what float32 itself rounds off."""
    if array.size == 0:
        return
    others = tuple(i for i in range(array.ndim) if i != axis)
    exact = array.astype(np.float64)
    low, high = exact.min(others, keepdims=True), exact.max(others, keepdims=True)
    span = high - low if axis is None else (high - low + np.abs(low) / 128) * (1 + 1 / 128)
    largest = np.maximum(np.abs(low), np.abs(high)) + span
    bound = span / levels / 2 * 1.01 + largest * 1e-6 + np.finfo(np.float32).tiny * levels
    assert (np.abs(back.astype(np.float64) - exact) <= bound).all()


def seeds() -> list[bytes]:
    """Values of every kind."""
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=24), np.zeros(24), np.array([3.4e38, -3.4e38, 1, 0]))
    values = [row.astype(np.float32).tobytes() for row in rows]
    floats = [bytes([codec, axis, 0, 1, 3]) + each for codec in range(4) for axis in (0, 2) for each in values]
    image = bytes([CODECS.index("jpeg90-444"), 0, 1, 3, 3, 3, 2]) + bytes(range(96))
    return [*floats, image, bytes([CODECS.index("raw"), 0, 2, 0]) + bytes(range(64))]
