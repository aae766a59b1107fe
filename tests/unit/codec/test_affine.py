"""Quantisation: how far off a value may be, what is exact, and what is refused."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collabd.codec import CodecError, encode
from collabd.codec.affine import dequantise, nbytes, quantise

Floats = NDArray[np.float32]
BITS = pytest.mark.parametrize("bits", [8, 4])
MODERATE = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=True)
SHAPES = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)


def there_and_back(array: Floats, bits: int, axis: int | None = None) -> Floats:
    data = quantise(array, bits, axis)
    assert len(data) == nbytes(array.shape, bits, axis)
    return dequantise(data, bits=bits, axis=axis, shape=array.shape)


def tolerance(low: Any, high: Any, levels: int, axis: int | None) -> Any:
    """The documented bound, plus the float32 rounding of the values themselves and the smallest scale there is."""
    low, high = np.float64(low), np.float64(high)
    largest = np.maximum(abs(low), abs(high))
    rounding = 0 if axis is None else 1 / 128
    scale = (high - low + abs(low) * rounding) / levels * (1 + rounding)
    return scale / 2 * (1 + 1e-4) + largest * 2.0**-22 + 2.0**-126


@given(
    array=npst.arrays(np.float32, SHAPES, elements=MODERATE),
    bits=st.sampled_from([8, 4]),
    axis=st.one_of(st.none(), st.integers(0, 3)),
)
@example(array=np.array([[-0.0, 0.0, 1e-45, -1e-45]], np.float32), bits=8, axis=None)
@example(array=np.array([[5.0, 5.0], [7.0, 7.5]], np.float32), bits=4, axis=0)
@example(array=np.array([1e6, 1e6 + 1], np.float32), bits=8, axis=None)
def test_a_value_is_off_by_at_most_half_a_step(array: Floats, bits: int, axis: int | None) -> None:
    assume(axis is None or axis < array.ndim)
    back = there_and_back(array, bits, axis)
    assert back.dtype == np.float32
    assert back.shape == array.shape
    if array.size:
        others = tuple(i for i in range(array.ndim) if i != axis)
        low, high = array.min(others, keepdims=True), array.max(others, keepdims=True)
        assert (np.abs(back.astype(np.float64) - array) <= tolerance(low, high, 2**bits - 1, axis)).all()


@BITS
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.25, 1e-45, 1e30, np.pi])
def test_a_constant_tensor_is_exact(bits: int, value: float) -> None:
    array = np.full((2, 3), value, np.float32)
    np.testing.assert_array_equal(there_and_back(array, bits), array)


@BITS
@pytest.mark.parametrize("axis", [None, 1])
def test_zeros_after_a_relu_stay_zero(bits: int, axis: int | None) -> None:
    array = np.maximum(np.random.default_rng(1).normal(size=(1, 5, 7, 7)), 0).astype(np.float32)
    assert (there_and_back(array, bits, axis)[array == 0] == 0).all()


@BITS
def test_the_ends_of_the_range_are_met(bits: int) -> None:
    back = there_and_back(np.array([-1.5, 0.1, 3.0], np.float32), bits)
    np.testing.assert_allclose(back[[0, 2]], [-1.5, 3.0], rtol=1e-6)


@BITS
def test_a_channel_does_not_pay_for_the_range_of_another(bits: int) -> None:
    array = np.random.default_rng(2).normal(size=(1, 2, 8, 8)).astype(np.float32)
    array[:, 1] *= 1000
    error = np.abs(there_and_back(array, bits, 1) - array)
    assert error[:, 0].max() < np.ptp(array[:, 0]) / (2**bits - 1) * 0.51
    assert np.abs(there_and_back(array, bits) - array)[:, 0].max() > error[:, 0].max() * 10


def test_four_bits_share_a_byte_first_value_low() -> None:
    data = quantise(np.array([0, 15, 1, 2, 3], np.float32), 4, None)
    assert data[8:] == bytes([0xF0, 0x21, 0x03])


@BITS
@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float32(3.4e38)])
def test_what_has_no_scale_is_refused(bits: int, axis: int | None, bad: float) -> None:
    with pytest.raises(CodecError, match="use f32"):
        quantise(np.array([[bad, 0], [-3.4e38, 1]], np.float32), bits, axis)


@pytest.mark.parametrize("codec", ["f16", "q8", "q4"])
@pytest.mark.parametrize("axis", [None, 0])
def test_a_signalling_nan_is_refused_without_a_warning(codec: str, axis: int | None) -> None:
    array = np.array([0x7F810000, 0xFFBFFFFF], np.uint32).view(np.float32)
    with pytest.raises(CodecError, match="use f32"):
        encode(array, codec, axis)
    with pytest.raises(CodecError):
        dequantise(array.tobytes() + b"\1", bits=8, axis=None, shape=(1,))


@BITS
@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, -1.0, 3e38])
def test_a_payload_with_unsound_scales_is_refused(bits: int, axis: int | None, scale: float) -> None:
    whole = np.array([0.0, scale], np.float32)
    head = whole if axis is None else whole.view(np.uint16)[1::2]
    with pytest.raises(CodecError, match="scales"):
        dequantise(head.tobytes() + b"\1", bits=bits, axis=axis, shape=(1,))


@given(data=st.binary(min_size=16, max_size=16), bits=st.sampled_from([8, 4]), axis=st.sampled_from([None, 0]))
def test_no_payload_becomes_anything_but_finite_values(data: bytes, bits: int, axis: int | None) -> None:
    shape = (64 // bits,) if axis is None else (2, 32 // bits)
    try:
        values = dequantise(data, bits=bits, axis=axis, shape=shape)
    except CodecError:
        return
    assert np.isfinite(values).all()
