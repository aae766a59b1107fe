"""What is sent, and what is taken for an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collabd.catalog.package.package import Package
from collabd.codec import CodecError
from collabd.device.companions.failures import CompanionFailure
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.device.run.features import checked, encode_features


@pytest.fixture
def model(tiny_package: Package) -> DeviceModel:
    return DeviceModel(tiny_package, tiny_package.network())


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
        checked(model, ("logits",), outputs)


def test_what_was_not_asked_for_is_left_out(model: DeviceModel) -> None:
    array = np.zeros((1, 3), np.float32)
    assert list(checked(model, ("logits",), {"logits": array, "pool1": array})) == ["logits"]
