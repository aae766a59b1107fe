from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.authoring.sessions import outputs_of
from collabd.catalog.graph import tensors
from collabd.catalog.package.manifest import Picture, Tensors
from tests.original import reference_scores
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

class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, left, right):
        return {"sum": self.linear(left) + right, "product": left * right}

def two():
    torch.manual_seed(0)
    return Two().eval()

def pair():
    return two(), (torch.zeros(1, 4), torch.zeros(1, 4))

def pair_by_name():
    return two(), {"right": torch.zeros(1, 4), "left": torch.zeros(1, 4)}

def unknown_input():
    return two(), {"left": torch.zeros(1, 4), "middle": torch.zeros(1, 4)}

def too_many():
    return two(), [torch.zeros(1, 4)] * 3

def no_tensor():
    return two(), (torch.zeros(1, 4), 3)

def triple():
    return two(), torch.zeros(1, 4), torch.zeros(1, 4)

class Text(torch.nn.Module):
    def forward(self, left):
        return "text"

def text():
    return Text(), torch.zeros(1, 4)

def of_channels(count):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(count, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    )

def grey_alone():
    return of_channels(1)

def grey():
    return of_channels(1), torch.zeros(1, 1, 8, 8)

def bands():
    return of_channels(4), torch.zeros(1, 4, 8, 8)

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
    assert imported.picture == Picture(height=224, width=224, rule="crop", resize_shorter=256, interpolation="bilinear")
    assert imported.licence == "BSD-3-Clause"
    assert "random weights" in imported.provenance
    shape = imported.model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in shape] == ["batch", 224, 224, 3]


def test_trained_weights_that_cannot_be_had_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match=r"cannot download the weights of squeezenet1_1 .*--random-weights"):
        resolve("torchvision:squeezenet1_1")


@pytest.mark.parametrize("name", ["resnet", ""])
def test_what_torchvision_has_not_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"no network .*alexnet.*ssd300_vgg16"):
        resolve(f"torchvision:{name}")


def test_a_factory_gives_a_module(own_module: str) -> None:
    imported = resolve(f"{own_module}:build", ImportOptions(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)))
    assert imported.name == "build"
    assert imported.labels == ("0", "1", "2", "3", "4")
    assert imported.picture == Picture(height=8, width=8)
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
        ("{}", "names no network; give torchvision:NAME, PATH.onnx, PATH.pt2 or"),
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

    for loaded in [name for name in sys.modules if name.startswith("collabd.catalog.authoring.pytorch.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(InvalidRequest, match=r"pip install 'collabd\[author\]'"):
        resolve(source)


def test_an_onnx_file_is_read(onnx_file: Path, tiny_model: onnx.ModelProto) -> None:
    imported = resolve(str(onnx_file))
    assert imported.model == tiny_model
    assert imported.name == "tiny-net"
    assert imported.labels == ("0", "1", "2")
    assert imported.picture == Picture(height=16, width=16)
    assert (imported.licence, imported.provenance) == ("not stated", "ONNX file tiny net.onnx")


def test_what_the_user_states_holds(onnx_file: Path) -> None:
    options = ImportOptions(name="mine", labels=("a", "b", "c"), resize_shorter=20, licence="MIT")
    imported = resolve(str(onnx_file), options)
    assert (imported.name, imported.labels, imported.licence) == ("mine", ("a", "b", "c"), "MIT")
    assert imported.picture == Picture(height=16, width=16, rule="crop", resize_shorter=20)


@pytest.mark.parametrize("content", [None, b"not onnx at all"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"net\.onnx is not a readable ONNX file"):
        resolve(str(path))


def test_what_returns_no_scores_answers_as_it_is(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["y"])],
        "unknown",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "net.onnx")
    imported = resolve(str(tmp_path / "net.onnx"))
    assert (imported.task, imported.picture) == (Tensors(), Picture(height=4, width=4))


def test_a_file_of_torch_export_is_read(own_module: str, tmp_path: Path) -> None:
    import torch

    module = __import__(own_module).build().eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    imported = resolve(str(tmp_path / "net.pt2"), ImportOptions(mean=(0, 0, 0), std=(1, 1, 1)))
    assert (imported.name, imported.labels) == ("net", ("0", "1", "2", "3", "4"))
    assert imported.provenance == "torch.export file net.pt2"
    image = photo(1, 8, 8)
    expected = module(torch.from_numpy(image.transpose(0, 3, 1, 2) / np.float32(255))).detach().numpy()
    np.testing.assert_allclose(reference_scores(imported.model, image), expected, rtol=1e-4, atol=1e-5)
    check(built(imported, tmp_path), image, expected)


def test_a_factory_may_give_inputs_beside_its_module(own_module: str) -> None:
    import torch

    for factory in ("pair", "pair_by_name"):
        imported = resolve(f"{own_module}:{factory}")
        assert (imported.task, imported.picture) == (Tensors(), None)
        assert [value.name for value in imported.model.graph.input] == ["left", "right"]
        feeds = {
            name: np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32) for name in ("left", "right")
        }
        found = outputs_of(imported.model, feeds)
        module, _ = getattr(__import__(own_module), factory)()
        expected = module(*map(torch.from_numpy, feeds.values()))
        assert found.keys() == {"sum", "product"}
        for name, value in expected.items():
            np.testing.assert_allclose(np.asarray(found[name]), value.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_factory_of_one_grey_channel_takes_pictures(own_module: str) -> None:
    import torch

    mean, std = 0.1307, 0.3081
    imported = resolve(f"{own_module}:grey", ImportOptions(mean=(mean,) * 3, std=(std,) * 3))
    assert imported.labels == ("0", "1", "2", "3", "4")
    assert imported.picture == Picture(height=8, width=8)
    assert imported.notes == (
        "its input is float32 [batch, 1, height, width], one grey channel, normalised by mean 0.131 and std 0.308",
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    planes = torch.from_numpy((grey[:, np.newaxis] / 255 - mean) / std).float()
    expected = __import__(own_module).grey()[0](planes).detach().numpy()
    np.testing.assert_allclose(reference_scores(imported.model, images), expected, rtol=1e-4, atol=1e-5)


def test_a_factory_of_other_channels_takes_tensors(own_module: str) -> None:
    import torch

    imported = resolve(f"{own_module}:bands")
    assert (imported.task, imported.picture) == (Tensors(), None)
    bands = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
    (found,) = outputs_of(imported.model, {"input": bands}).values()
    expected = __import__(own_module).bands()[0](torch.from_numpy(bands)).detach().numpy()
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)


def test_a_module_that_takes_no_rgb_must_come_with_its_inputs(own_module: str) -> None:
    with pytest.raises(
        InvalidRequest, match=r"does not take a picture float32 \[1, 3, 8, 8\]: .* a pair .*torch.zeros\(1, 1, 28, 28\)"
    ):
        resolve(f"{own_module}:grey_alone", ImportOptions(size=(8, 8)))


@pytest.mark.parametrize(
    ("stated", "option"),
    [
        ({"size": (8, 8)}, "--size"),
        ({"mean": (0.0, 0.0, 0.0)}, "--mean"),
        ({"rule": "letterbox"}, "--rule"),
        ({"resize_shorter": 9}, "--resize-shorter"),
    ],
)
def test_what_is_said_of_pictures_is_refused_for_tensors(own_module: str, stated: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{option}: .* but tensors \(input float32 \[1, 4, 8, 8\]\)"):
        resolve(f"{own_module}:bands", ImportOptions(**stated))


@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        ("unknown_input", r"gives inputs \['middle'\], but its network takes left, right"),
        ("too_many", "gives 3 inputs, but its network takes left, right"),
        ("no_tensor", "gives inputs that are not tensors"),
        ("triple", "returns a tuple, not a torch.nn.Module, alone or in a pair with its inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(own_module: str, factory: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        resolve(f"{own_module}:{factory}")


def test_a_network_that_returns_no_tensors_is_refused(own_module: str) -> None:
    with pytest.raises(InvalidPackage, match="returns a str: collabd takes those that return a tensor"):
        resolve(f"{own_module}:text")


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
    assert imported.picture == Picture(
        height=side, width=side, rule="crop", resize_shorter=518, interpolation="bicubic"
    )
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
