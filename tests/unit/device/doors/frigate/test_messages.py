"""What Frigate's detector `zmq` sends, and what it understands."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from collab_sdk.errors import InvalidRequest, InvalidTensor
from collabd.device.doors.frigate.messages import (
    LONGEST_HEADER,
    ModelSent,
    ModelWanted,
    TensorQuestion,
    about_a_model,
    found,
    nothing,
    read,
)


def header(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_the_three_messages() -> None:
    assert read([header(model_request=True, model_name="a.onnx")]) == ModelWanted("a.onnx")
    sent = read([header(model_data=True, model_name="a.onnx"), b"\x08\x01"])
    assert isinstance(sent, ModelSent)
    assert (sent.file_name, bytes(sent.content)) == ("a.onnx", b"\x08\x01")
    tensor = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    question = read([header(shape=[1, 3, 4, 4], dtype="float32", model_type="yolox"), tensor.tobytes()])
    assert isinstance(question, TensorQuestion)
    assert question.model_type == "yolox"
    np.testing.assert_array_equal(question.tensor, tensor)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"{"],
        [b"[]"],
        [b"\xff"],
        [b"null"],
        [b" " * (LONGEST_HEADER + 1)],
        [header(model_request="yes")],
        [header(model_data=True, model_name="a.onnx")],
        [header(shape=[1, 4, 4, 3])],
        [header(shape=[1, 4, 4, 3], dtype="float64"), bytes(384)],
        [header(shape=[1, 4, 4, 3], dtype="object"), bytes(384)],
        [header(shape=[-1, 4, 4, 3], dtype="uint8"), bytes(48)],
        [header(shape=[1, 4, 4, 3, 1], dtype="uint8"), bytes(48)],
        [header(shape=[1, 4, 4, 70000], dtype="uint8"), bytes(48)],
        [header(shape=[10**30], dtype="uint8"), b""],
        [header(shape=1, dtype="uint8"), b"\0"],
    ],
)
def test_what_is_no_message_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(InvalidRequest):
        read(frames)


@pytest.mark.parametrize("size", [0, 47, 49, 192])
def test_a_tensor_has_the_bytes_of_its_shape(size: int) -> None:
    with pytest.raises(InvalidTensor, match=f"has 48 bytes; {size} came"):
        read([header(shape=[1, 4, 4, 3], dtype="uint8"), bytes(size)])


def test_frigate_reads_the_answers() -> None:
    rows = np.arange(120, dtype=np.float32).reshape(20, 6)
    for frames, expected in ((found(rows), rows), (nothing("of this"), np.zeros((20, 6), np.float32))):
        told = json.loads(frames[0])
        read_back = np.frombuffer(frames[1], np.dtype(told["dtype"])).reshape(tuple(told["shape"]))
        np.testing.assert_array_equal(read_back, expected)
        assert told.get("error") == (None if expected is rows else "of this")


@pytest.mark.parametrize(("was_sent", "key"), [(False, "model_available"), (True, "model_saved")])
def test_frigate_is_told_of_a_model(was_sent: bool, key: str) -> None:
    (frame,) = about_a_model("a.onnx", there=True, ready=False, message="why", was_sent=was_sent)
    assert json.loads(frame) == {key: True, "model_loaded": False, "model_name": "a.onnx", "message": "why"}
