"""Every codec there and back, and what its parameters say."""

from __future__ import annotations

import threading
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collabd.codec import FEATURE_CODECS, CodecError, Encoded, decode, encode
from tests.patience import joined

RNG = np.random.default_rng(7)
FEATURE = np.maximum(RNG.normal(size=(1, 8, 14, 14)), 0).astype(np.float32)
FLOATS = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    elements=st.floats(width=32),
)
OTHERS = npst.arrays(
    st.sampled_from([np.bool_, np.int8, np.int64, np.uint8, np.uint16, np.float16, np.float64]).map(np.dtype),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


def there_and_back(array: NDArray[Any], codec: str, axis: int | None = None) -> NDArray[Any]:
    encoded = encode(array, codec, axis)
    return decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)


@given(FLOATS)
def test_f32_keeps_every_bit(array: NDArray[np.float32]) -> None:
    back = there_and_back(array, "f32")
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(array=OTHERS, codec=st.sampled_from(FEATURE_CODECS), axis=st.sampled_from([None, 0, 9]))
def test_what_is_not_float32_travels_raw(array: NDArray[Any], codec: str, axis: int | None) -> None:
    encoded = encode(array, codec, axis)
    assert encoded.parameters["codec"] == "raw"
    back = decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_f16_rounds_to_half_precision() -> None:
    np.testing.assert_array_equal(there_and_back(FEATURE, "f16"), FEATURE.astype(np.float16))
    np.testing.assert_array_equal(there_and_back(np.array([65504, -65504], np.float32), "f16"), [65504, -65504])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 65520.0, -1e30])
def test_f16_refuses_what_it_cannot_hold(bad: float) -> None:
    with pytest.raises(CodecError, match="use f32"):
        encode(np.array([1, bad], np.float32), "f16")


@pytest.mark.parametrize(("codec", "share"), [("f32", 1.0), ("f16", 0.5), ("q8", 0.25), ("q4", 0.13)])
def test_a_codec_has_its_share_of_the_bytes(codec: str, share: float) -> None:
    dense = RNG.normal(size=(1, 4, 16, 16)).astype(np.float32)
    assert len(encode(dense, codec).payload) <= dense.nbytes * share + 8


@pytest.mark.parametrize("codec", FEATURE_CODECS)
def test_zstd_is_used_where_it_is_smaller_and_only_there(codec: str) -> None:
    assert encode(np.zeros((1, 64), np.float32), codec).parameters["zstd"] is True
    noise = np.frombuffer(RNG.bytes(64), np.uint8).astype(np.float32)
    small = encode(noise[:4], codec)
    assert small.parameters["zstd"] is False
    assert len(small.payload) <= 16


@pytest.mark.parametrize("codec", ["q8", "q4"])
def test_the_channel_axis_travels_in_the_parameters(codec: str) -> None:
    encoded = encode(FEATURE, codec, channel_axis=1)
    assert encoded.parameters["channel_axis"] == 1
    assert "channel_axis" not in encode(FEATURE, codec).parameters
    assert "channel_axis" not in encode(FEATURE, "f16", channel_axis=1).parameters
    back = decode(encoded.payload, encoded.parameters, dtype=FEATURE.dtype, shape=FEATURE.shape)
    assert np.abs(back - FEATURE).max() < np.ptp(FEATURE) / 15


@pytest.mark.parametrize("codec", ["q8", "q4"])
@pytest.mark.parametrize("axis", [4, -1, True, "1"])
def test_an_axis_that_the_array_has_not_is_refused(codec: str, axis: Any) -> None:
    with pytest.raises(CodecError, match="channel_axis"):
        encode(FEATURE, codec, axis)


@pytest.mark.parametrize("codec", FEATURE_CODECS)
@pytest.mark.parametrize("shape", [(0,), (1, 0, 3), (0, 0), ()])
def test_empty_and_scalar_tensors(codec: str, shape: tuple[int, ...]) -> None:
    array = np.full(shape, 2.5, np.float32)
    np.testing.assert_array_equal(there_and_back(array, codec), array)


@pytest.mark.parametrize("codec", FEATURE_CODECS)
def test_layout_and_byte_order_of_the_array_do_not_matter(codec: str) -> None:
    expected = encode(FEATURE, codec).payload
    assert encode(np.asfortranarray(FEATURE), codec).payload == expected
    assert encode(FEATURE.astype(">f4"), codec).payload == expected


@pytest.mark.parametrize("codec", FEATURE_CODECS)
def test_the_decoded_array_is_its_own_and_writable(codec: str) -> None:
    encoded = encode(FEATURE, codec)
    # A view at an odd offset, as a tensor in the middle of a message is.
    payload = memoryview(b"x" + encoded.payload)[1:]
    back = decode(payload, encoded.parameters, dtype=FEATURE.dtype, shape=FEATURE.shape)
    assert back.flags.writeable
    assert back.flags.aligned
    assert back.flags.c_contiguous


def test_u8_keeps_an_image_and_refuses_anything_else() -> None:
    image = RNG.integers(0, 256, (1, 9, 7, 3), np.uint8)
    np.testing.assert_array_equal(there_and_back(image, "u8"), image)
    with pytest.raises(CodecError, match="cannot carry float32"):
        encode(FEATURE, "u8")


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([object()]), np.array([1j])])
def test_what_has_no_plain_numbers_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(CodecError, match="cannot carry"):
        encode(array, "q8")


def test_an_unknown_codec_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CodecError, match="f32, f16, q8, q4"):
        encode(FEATURE, "q2")


def test_threads_do_not_share_a_context() -> None:
    arrays = [np.full((200, 200), i, np.float32) + FEATURE.sum() * np.eye(200, dtype=np.float32) for i in range(4)]
    expected = [encode(a, "q8") for a in arrays]
    wrong: list[Encoded] = []

    def work(index: int) -> None:
        for _ in range(20):
            encoded = encode(arrays[index], "q8")
            decode(encoded.payload, encoded.parameters, dtype=arrays[index].dtype, shape=arrays[index].shape)
            if encoded != expected[index]:
                wrong.append(encoded)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        joined(thread)
    assert not wrong
