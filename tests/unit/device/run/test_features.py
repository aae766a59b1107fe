"""What is sent, and what is taken for an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collab_sdk import wire
from collabd.catalog.package.package import Package
from collabd.codec import CodecError
from collabd.device.companions.failures import CompanionFailure
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.device.run.features import encode_features, read_outputs


@pytest.fixture
def model(tiny_package: Package) -> DeviceModel:
    return DeviceModel(tiny_package, tiny_package.networks())


@pytest.mark.parametrize("codec", ["f32", "f16", "q8", "q4"])
def test_nan_is_not_sent_and_so_no_fault_of_the_companions(model: DeviceModel, codec: str) -> None:
    crossing = Crossing(codec, None, decode_s=0.0, rest_s=0.0)
    features = np.ones((1, 8, 8, 8), np.float32)
    assert encode_features({"pool1": features}, crossing, model)
    features[0, 3, 2, 1] = np.nan
    with pytest.raises(CodecError, match="NaN"):
        encode_features({"pool1": features}, crossing, model)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"lotigs": np.zeros((1, 3), np.float32)},
        {"logits": np.zeros((1, 2), np.float32)},
        {"logits": np.zeros((3,), np.float32)},
        {"logits": np.zeros((1, 3), np.int32)},
        {"logits": np.full((1, 3), np.nan, np.float32)},
    ],
)
def test_what_is_no_answer(model: DeviceModel, outputs: dict[str, Any]) -> None:
    with pytest.raises(CompanionFailure):
        read_outputs(model, ("logits",), [wire.Tensor.from_array(*each) for each in outputs.items()])


def test_what_was_not_asked_for_is_left_out(model: DeviceModel) -> None:
    came = [wire.Tensor.from_array(name, np.zeros((1, 3), np.float32)) for name in ("logits", "pool1")]
    assert list(read_outputs(model, ("logits",), came)) == ["logits"]


@pytest.mark.parametrize(
    ("parameters", "data"),
    [({"codec": "q8", "zstd": False}, bytes(12)), ({"codec": "u8", "zstd": True}, b"no zstd"), ({}, b"")],
)
def test_what_is_encoded_otherwise_than_asked_is_no_answer(
    model: DeviceModel, parameters: dict[str, Any], data: bytes
) -> None:
    with pytest.raises(CompanionFailure, match="cannot be read"):
        read_outputs(model, ("logits",), [wire.Tensor("logits", "FP32", (1, 3), data=data, parameters=parameters)])
