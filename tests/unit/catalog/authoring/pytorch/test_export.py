from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torchvision
from torch import nn

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.pytorch.export import export

pytestmark = pytest.mark.slow

torch.set_num_threads(1)
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


class Residual(nn.Module):
    """Uses one activation twice, adds in its forward, and drops out in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU()
        self.drop = nn.Dropout(0.9)
        self.scale = nn.Parameter(torch.tensor([2.0]))
        self.head = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.relu(self.conv(x)) + x) * self.scale
        logits: torch.Tensor = self.head(self.drop(x.mean((2, 3))))
        return logits


class OneAtATime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x.reshape(1, -1))
        return logits


class TwoResults(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean((2, 3)), x.amax((2, 3))


class DependsOnTheImage(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


def images(batch: int, side: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)


def in_torch(module: nn.Module, pixels: np.ndarray) -> Any:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        return module.eval()((torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std).numpy()


def in_onnx(model: onnx.ModelProto, pixels: np.ndarray) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options).run(["logits"], {"image": pixels})[0]


@pytest.fixture(scope="module")
def residual() -> tuple[nn.Module, onnx.ModelProto]:
    torch.manual_seed(0)
    module = Residual()
    return module, export(module, height=8, width=8, mean=MEAN, std=STD)


@pytest.mark.parametrize("batch", [1, 3])
def test_answers_as_pytorch_does_on_normalised_images(residual: tuple[nn.Module, onnx.ModelProto], batch: int) -> None:
    module, model = residual
    pixels = images(batch, 8)
    np.testing.assert_allclose(in_onnx(model, pixels), in_torch(module, pixels), rtol=1e-4, atol=1e-5)


def test_tensors_carry_the_paths_of_their_modules(residual: tuple[nn.Module, onnx.ModelProto]) -> None:
    graph = residual[1].graph
    made = [name for node in graph.node for name in node.output]
    assert made[made.index("conv") :] == ["conv", "relu", "add_1", "relu_1", "mul_1", "mean", "logits"]
    assert {"conv.weight", "head.weight"} <= {weight.name for weight in graph.initializer}
    assert len(made) == len(set(made))


def test_a_weight_that_is_named_like_the_normalisation_keeps_apart(
    residual: tuple[nn.Module, onnx.ModelProto],
) -> None:
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in residual[1].graph.initializer}
    assert weights["scale"].shape == (3, 1, 1)
    assert weights["scale_1"].tolist() == [2.0]


def test_nothing_of_the_exporting_machine_stays_in_the_graph(residual: tuple[nn.Module, onnx.ModelProto]) -> None:
    assert b"test_export" not in residual[1].SerializeToString()
    assert "Dropout" not in {node.op_type for node in residual[1].graph.node}


def test_weights_of_the_module_are_not_kept() -> None:
    """The largest networks fit the memory of a machine once, but not twice."""
    module = nn.Sequential(Residual(), nn.Unflatten(1, (5, 1, 1)), nn.Conv2d(5, 6, 1), nn.BatchNorm2d(6), nn.Flatten())
    kept = [weakref.ref(weight) for weight in module.parameters()]
    model = export(module, height=8, width=8, mean=MEAN, std=STD)
    del module
    assert [weight() for weight in kept] == [None] * len(kept)
    assert {"0.conv.weight", "0.head.weight"} <= {weight.name for weight in model.graph.initializer}


def test_the_graph_is_readable_by_the_oldest_runtime(residual: tuple[nn.Module, onnx.ModelProto]) -> None:
    model = residual[1]
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert model.ir_version <= 10


def test_a_module_that_refuses_a_batch_is_exported_for_one_image(capfd: pytest.CaptureFixture[str]) -> None:
    module = OneAtATime()
    model = export(module, height=8, width=8, mean=MEAN, std=STD)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    pixels = images(1, 8)
    np.testing.assert_allclose(in_onnx(model, pixels), in_torch(module, pixels), rtol=1e-4, atol=1e-5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("module", "message"),
    [(TwoResults, "TwoResults returns 2 tensors"), (DependsOnTheImage, "DependsOnTheImage does not export")],
)
def test_what_cannot_be_a_package_is_refused_in_one_line(
    module: Callable[[], nn.Module], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidPackage, match=message) as caught:
        export(module(), height=8, width=8, mean=MEAN, std=STD)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_network_of_torchvision_is_exact_and_pools_without_the_shape_of_the_image() -> None:
    torch.manual_seed(0)
    module = torchvision.models.resnet18(weights=None)
    model = export(module, height=64, width=64, mean=MEAN, std=STD)
    assert "Shape" not in {node.op_type for node in model.graph.node}
    assert {"maxpool", "layer1.0.relu", "layer1.0.add", "layer1.0.relu_1", "layer4.0.downsample.1"} <= {
        name for node in model.graph.node for name in node.output
    }
    pixels = images(2, 64)
    expected = in_torch(module, pixels)
    assert np.abs(in_onnx(model, pixels) - expected).max() < 1e-4 * np.abs(expected).max()


class ChannelsLast(nn.Module):
    """Normalises over the last axis, as ConvNeXt and Swin do, and pools what comes out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.LayerNorm(4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        logits: torch.Tensor = self.head(self.pool(x).flatten(1))
        return logits


def test_what_lies_channels_last_pools_without_the_size_of_the_batch() -> None:
    torch.manual_seed(0)
    module = ChannelsLast()
    model = export(module, height=16, width=16, mean=MEAN, std=STD)
    assert not {"Shape", "Range", "Gather"} & {node.op_type for node in model.graph.node}
    assert not module.pool._forward_pre_hooks
    pixels = images(3, 16)
    np.testing.assert_allclose(in_onnx(model, pixels), in_torch(module, pixels), rtol=1e-3, atol=1e-4)
