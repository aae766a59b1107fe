"""Bytes and parameters from a peer that lies."""

from __future__ import annotations

import tracemalloc
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collabd.codec import FEATURE_CODECS, MAX_BYTES, CodecError, decode, encode

FLOAT32 = np.dtype(np.float32)
FEATURE = np.random.default_rng(3).normal(size=(1, 6, 5, 5)).astype(np.float32)
CODECS = (*FEATURE_CODECS, "u8", "jpeg", "raw")

anything = st.one_of(st.none(), st.booleans(), st.integers(-2, 5), st.floats(), st.text(max_size=3))
parameters = st.fixed_dictionaries(
    {"codec": st.one_of(st.sampled_from(CODECS), anything)},
    optional={"zstd": st.one_of(st.booleans(), anything), "channel_axis": anything},
)
dtypes = st.sampled_from([np.float32, np.uint8, np.int64, np.bool_, np.object_, np.str_]).map(np.dtype)
dimensions = st.one_of(st.integers(-1, 4), st.integers(0, 2**70))
shapes = st.one_of(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), st.lists(dimensions).map(tuple))


@given(payload=st.binary(max_size=80), parameters=parameters, dtype=dtypes, shape=shapes)
def test_a_lie_is_refused_or_makes_the_array_it_claims(
    payload: bytes, parameters: dict[str, Any], dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    try:
        array = decode(payload, parameters, dtype=dtype, shape=shape)
    except CodecError:
        return
    assert (array.dtype, array.shape) == (dtype, shape)


@given(data=st.data(), codec=st.sampled_from([*FEATURE_CODECS, "jpeg"]))
def test_damage_is_refused_or_makes_an_array_of_the_right_shape(data: st.DataObject, codec: str) -> None:
    array = FEATURE if codec != "jpeg" else np.zeros((1, 16, 16, 3), np.uint8)
    encoded = encode(array, codec)
    payload = bytearray(encoded.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = decode(bytes(payload), encoded.parameters, dtype=array.dtype, shape=array.shape)
    except CodecError:
        return
    assert (back.dtype, back.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("codec", FEATURE_CODECS)
@pytest.mark.parametrize("array", [FEATURE, np.zeros_like(FEATURE)], ids=["plain", "zstd"])
@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda _: b"", lambda p: p + p])
def test_a_payload_of_another_length_is_refused(codec: str, array: Any, change: Any) -> None:
    encoded = encode(array, codec)
    with pytest.raises(CodecError):
        decode(change(bytes(encoded.payload)), encoded.parameters, dtype=FLOAT32, shape=FEATURE.shape)


@pytest.mark.parametrize("codec", FEATURE_CODECS)
@pytest.mark.parametrize("shape", [(1, 6, 5, 4), (1, 6, 5, 6), (1, 6, 25, 2), (0,)])
def test_the_bytes_of_another_shape_are_refused(codec: str, shape: tuple[int, ...]) -> None:
    encoded = encode(FEATURE, codec)
    with pytest.raises(CodecError):
        decode(encoded.payload, encoded.parameters, dtype=FLOAT32, shape=shape)


@pytest.mark.parametrize(
    "frame",
    [
        zstandard.compress(bytes(50_000_000)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50_000_000)),
        # Claims the 400 bytes that it should have, holds more.
        zstandard.compress(bytes(400))[:6] + zstandard.compress(bytes(50_000_000))[9:],
    ],
    ids=["honest", "size unknown", "size false"],
)
def test_a_zstd_bomb_is_refused_unexploded(frame: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(CodecError):
        decode(frame, {"codec": "f32", "zstd": True}, dtype=FLOAT32, shape=(100,))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "lie",
    [
        {"codec": None},
        {"codec": "q2"},
        {"codec": ["q8"]},
        {"zstd": 1},
        {"zstd": "true"},
        {"channel_axis": True},
        {"channel_axis": 1.0},
        {"channel_axis": 4},
        {"channel_axis": -1},
    ],
    ids=str,
)
def test_parameters_of_the_wrong_kind_are_refused(lie: dict[str, Any]) -> None:
    encoded = encode(FEATURE, "q8", channel_axis=1)
    with pytest.raises(CodecError):
        decode(encoded.payload, encoded.parameters | lie, dtype=FLOAT32, shape=FEATURE.shape)


def test_a_tensor_without_a_codec_is_refused() -> None:
    with pytest.raises(CodecError, match="'codec'"):
        decode(b"", {}, dtype=FLOAT32, shape=(0,))


@pytest.mark.parametrize("codec", FEATURE_CODECS)
def test_a_feature_codec_decodes_to_float32_only(codec: str) -> None:
    encoded = encode(FEATURE, codec)
    with pytest.raises(CodecError, match="cannot carry"):
        decode(encoded.payload, encoded.parameters, dtype=np.dtype(np.int32), shape=FEATURE.shape)


@pytest.mark.parametrize("shape", [(-1, 4), (True, 4), (2.0, 2), ("4",), (MAX_BYTES // 4 + 1,), (0, 2**62), (1,) * 33])
def test_an_impossible_shape_is_refused(shape: Any) -> None:
    with pytest.raises(CodecError, match="shape"):
        decode(bytes(16), {"codec": "f32"}, dtype=FLOAT32, shape=shape)


@pytest.mark.parametrize("half", [np.inf, -np.inf, np.nan])
def test_f16_brings_no_infinity(half: float) -> None:
    with pytest.raises(CodecError, match="f16"):
        decode(np.array([half], np.float16).tobytes(), {"codec": "f16"}, dtype=FLOAT32, shape=(1,))


def test_a_boolean_is_zero_or_one() -> None:
    with pytest.raises(CodecError, match="boolean"):
        decode(b"\0\2", {"codec": "raw"}, dtype=np.dtype(np.bool_), shape=(2,))
