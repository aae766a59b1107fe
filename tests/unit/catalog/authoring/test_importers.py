from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.equivalence import reference_scores
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.graph import tensors
from collabd.catalog.package.manifest import Preprocessing
from tests.unit.catalog.authoring.foreign.networks import built, check, photo

pytestmark = pytest.mark.slow

FACTORY = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5))

def wide():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 20, 3), torch.nn.ReLU(), torch.nn.Conv2d(20, 60, 3), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(60, 5),
    )

def number():
    return 5

class Namespace:
    build = staticmethod(build)
"""


@pytest.fixture(scope="module")
def own_module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A module of the user's, importable under a name of its own."""
    directory = tmp_path_factory.mktemp("own")
    (directory / "my_networks.py").write_text(FACTORY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        yield "my_networks"
    sys.modules.pop("my_networks", None)


@pytest.fixture
def onnx_file(tiny_model: onnx.ModelProto, tmp_path: Path) -> Path:
    onnx.save(tiny_model, tmp_path / "tiny net.onnx")
    return tmp_path / "tiny net.onnx"


def test_a_torchvision_network_brings_its_labels_and_preprocessing() -> None:
    imported = resolve("torchvision:squeezenet1_1", ImportOptions(weights="random"))
    assert imported.name == "squeezenet1_1"
    assert (imported.labels[0], len(imported.labels)) == ("tench", 1000)
    assert imported.preprocessing == Preprocessing(height=224, width=224, resize_shorter=256, interpolation="bilinear")
    assert imported.licence == "BSD-3-Clause"
    assert "random weights" in imported.provenance
    shape = imported.model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in shape] == ["batch", 224, 224, 3]


def test_trained_weights_that_cannot_be_had_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match=r"cannot download the weights of squeezenet1_1 .*--random-weights"):
        resolve("torchvision:squeezenet1_1")


@pytest.mark.parametrize("name", ["resnet", "", "deeplabv3_resnet50", "r3d_18"])
def test_what_torchvision_cannot_classify_with_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"no classifier .*alexnet"):
        resolve(f"torchvision:{name}")


def test_a_factory_gives_a_module(own_module: str) -> None:
    imported = resolve(f"{own_module}:build", ImportOptions(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)))
    assert imported.name == "build"
    assert imported.labels == ("0", "1", "2", "3", "4")
    assert imported.preprocessing == Preprocessing(height=8, width=8)
    assert imported.provenance == f"PyTorch factory {own_module}:build"

    import torch

    module = __import__(own_module).build()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    expected = module(torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(255))).detach().numpy()
    np.testing.assert_allclose(reference_scores(imported.model, images), expected, rtol=1e-4, atol=1e-5)


def test_a_factory_needs_a_size(own_module: str) -> None:
    with pytest.raises(InvalidRequest, match="--size"):
        resolve(f"{own_module}:build")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{}:number", "returns a int, not a torch.nn.Module"),
        ("{}:absent", "no attribute 'absent'"),
        ("{}:Namespace.absent", "no attribute 'absent'"),
        ("not_there_{}:build", "needs the module not_there_my_networks.*PYTHONPATH"),
        ("{}", "names no network; give torchvision:NAME, PATH.onnx or"),
    ],
)
def test_what_is_no_factory_is_refused(own_module: str, source: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        resolve(source.format(own_module), ImportOptions(size=(8, 8)))


@pytest.mark.parametrize("source", ["torchvision:resnet18", "some.module:build"])
def test_without_pytorch_the_extra_is_named(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_torch(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(InvalidRequest, match=r"pip install 'collabd\[author\]'"):
        resolve(source)


def test_an_onnx_file_is_read(onnx_file: Path, tiny_model: onnx.ModelProto) -> None:
    imported = resolve(str(onnx_file))
    assert imported.model == tiny_model
    assert imported.name == "tiny-net"
    assert imported.labels == ("0", "1", "2")
    assert imported.preprocessing == Preprocessing(height=16, width=16)
    assert (imported.licence, imported.provenance) == ("not stated", "ONNX file tiny net.onnx")


def test_what_the_user_states_holds(onnx_file: Path) -> None:
    options = ImportOptions(name="mine", labels=("a", "b", "c"), resize_shorter=20, licence="MIT")
    imported = resolve(str(onnx_file), options)
    assert (imported.name, imported.labels, imported.licence) == ("mine", ("a", "b", "c"), "MIT")
    assert imported.preprocessing == Preprocessing(height=16, width=16, resize_shorter=20)


@pytest.mark.parametrize("content", [None, b"not onnx at all"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"net\.onnx is not a readable ONNX file"):
        resolve(str(path))


def test_what_returns_no_scores_is_described(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["y"])],
        "unknown",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "net.onnx")
    with pytest.raises(InvalidPackage, match=r"output y is uint8 \[1, 4, 4, 3\]. .*\[batch, classes\]"):
        resolve(str(tmp_path / "net.onnx"))


@pytest.mark.parametrize("stated", [None, (56, 56)])
def test_a_network_of_its_own_size_is_built_for_that_size(
    stated: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vision transformer's positions are made for one size, and the trained weights say which."""
    import torchvision

    weights = torchvision.models.ViT_H_14_Weights.DEFAULT
    assert weights.transforms().crop_size == [518]

    def little(image_size: int = 224) -> Any:
        return torchvision.models.VisionTransformer(
            image_size, patch_size=14, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=1000
        )

    real = torchvision.models.get_model
    monkeypatch.setattr(
        torchvision.models,
        "get_model",
        lambda name, weights=None, **sizes: little(**sizes) if name == "vit_h_14" else real(name, weights=weights),
    )
    imported = resolve("torchvision:vit_h_14", ImportOptions(weights="random", size=stated))
    side = 518 if stated is None else stated[0]
    assert imported.preprocessing == Preprocessing(height=side, width=side, resize_shorter=518, interpolation="bicubic")
    dims = imported.model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims][1:] == [side, side, 3]


def test_weights_that_only_fit_in_half_width_are_kept_so(
    own_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered, for a network that reaches protobuf's takes gigabytes: 48,000 bytes are 26,000 in half."""
    monkeypatch.setattr(tensors, "_MOST_BYTES", 30_000)
    imported = resolve(f"{own_module}:wide", ImportOptions(size=(8, 8)))
    assert TensorProto.FLOAT16 in {weight.data_type for weight in imported.model.graph.initializer}
    package = built(imported, tmp_path)
    image = photo(1, 8, 8)
    expected = reference_scores(imported.model, image)
    check(package, image, expected)
    monkeypatch.setattr(tensors, "_MOST_BYTES", 3_000)
    with pytest.raises(InvalidPackage, match=r"an ONNX graph holds at most 2\.1 GB"):
        resolve(f"{own_module}:wide", ImportOptions(size=(8, 8)))


@pytest.mark.parametrize("changes", [{"mean": (0.5,)}, {"std": (1.0, 1.0)}, {"std": (1.0, 0.0, 1.0)}])
def test_a_normalisation_that_cannot_be_is_refused(changes: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(InvalidRequest, match="three numbers each"):
        ImportOptions(**changes)  # type: ignore[arg-type]
