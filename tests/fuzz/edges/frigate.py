"""A message to the door for Frigate's detector `zmq`: its parser, the recogniser of pictures, the names of models."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from collab_sdk.errors import InvalidRequest
from collabd.device.doors.frigate.messages import ModelSent, ModelWanted, TensorQuestion, read
from collabd.device.doors.frigate.models import name_of
from collabd.device.doors.frigate.pictures import Scale, picture_in

WORDS = (
    *("model_request", "model_data", "model_name", "shape", "dtype", "model_type", "true", "null", "1e999", "-1"),
    *("uint8", "float32", "float64", "ssd", "yologeneric", "[1, 2, 2, 3]", "[1, 3, 2, 2]", "../x.onnx"),
    *("\x00\x00\x80\x3f", "\x00\x00\x7f\x43", "\x81\x80\x80\x3b", "\x00\x00\xc0\x7f"),
)
_DIVISORS = {Scale.SHARES: 255, Scale.LEVELS: 1}


def check(data: bytes) -> None:
    """Nothing but `InvalidRequest`; a picture that is found makes exactly its tensor again, and none is overlooked."""
    _check_values(data)
    frames = data.split(b"\n", 1)
    try:
        message = read(frames)
        match message:
            case ModelWanted(file_name) | ModelSent(file_name):
                name = name_of(file_name)
                assert not {"/", "\0"} & set(name)
                assert name.strip(".")
                return
            case TensorQuestion(tensor):
                pass
        _check_pictures(tensor)
    except InvalidRequest:
        return


def _check_values(data: bytes) -> None:
    """The bytes as pixels of a small tensor. Those behind them say which are off, and how far, in steps of float32."""
    pixels, rest = np.frombuffer(data[:24], np.uint8), data[24:]
    if len(pixels) < 24:
        return
    for divisor in _DIVISORS.values():
        floats = pixels.astype(np.float32)
        floats /= divisor
        for at, steps in zip(rest[::2], rest[1::2], strict=False):
            floats.view(np.int32)[at % 24] += steps - 128
        try:
            _check_pictures(floats.reshape(1, 3, 2, 4))
        except InvalidRequest:
            continue


def _check_pictures(tensor: np.ndarray) -> None:
    try:
        picture = picture_in(tensor)
    except InvalidRequest:
        pixels = np.arange(256, dtype=np.float32)
        fits = any(np.isin(tensor, pixels / np.float32(each)).all() for each in _DIVISORS.values())
        assert not (fits or tensor.dtype == np.uint8) or not _is_layout(tensor.shape)
        raise
    assert picture.pixels.ndim == 3
    assert picture.pixels.shape[2] == 3
    again: np.ndarray = picture.pixels if picture.scale == Scale.PIXELS else picture.pixels.astype(np.float32)
    if picture.scale != Scale.PIXELS:
        again /= _DIVISORS[picture.scale]
    np.testing.assert_array_equal(np.sort(again, axis=None), np.sort(tensor, axis=None))


def _is_layout(shape: tuple[int, ...]) -> bool:
    if len(shape) != 4:
        return False
    layouts = [(0, 3), (0, 1), (2, 3), (3, 2)]
    return sum(shape[one] == 1 and shape[channels] == 3 for one, channels in layouts) == 1


def seeds() -> list[bytes]:
    """What Frigate sends."""
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) * 23
    shares = np.transpose(pixels, [0, 3, 1, 2]).astype(np.float32)
    shares /= 255
    tensors: list[np.ndarray] = [pixels, shares, pixels.astype(np.float32), shares * np.float32(0.7)]
    about: list[tuple[dict[str, Any], bytes]] = [
        ({"model_request": True, "model_name": "yolox_tiny.onnx"}, b""),
        ({"model_data": True, "model_name": "yolox_tiny.onnx"}, b"\x08\x08"),
    ]
    about += [
        ({"shape": list(each.shape), "dtype": each.dtype.name, "model_type": "yolox"}, each.tobytes())
        for each in tensors
    ]
    return [json.dumps(header).encode() + b"\n" + content for header, content in about]
