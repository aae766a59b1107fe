"""torchvision's networks of every task. To export one takes half a minute of a core, so that each is exported once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torchvision

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.importers import Imported, ImportOptions, resolve
from collabd.catalog.authoring.pytorch import torchvision_networks
from collabd.catalog.authoring.pytorch.torchvision_networks import TorchvisionNetwork, torchvision_network
from collabd.catalog.package.manifest import Detect, Picture, Segment, Tensors
from collabd.catalog.trial.inspection import inspect
from tests.unit.catalog.authoring.foreign.networks import built

pytestmark = pytest.mark.slow

torch.set_num_threads(1)
NAMES = torchvision.models.list_models()
MINE = tuple(f"class {number}" for number in range(21))
IMAGENET = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))


def made(name: str, size: tuple[int, int] | None = None) -> TorchvisionNetwork:
    return torchvision_network(name, size=size, trained=False)


def seeded(name: str) -> Any:
    """The network of torchvision itself, with the random weights that an import has."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    return list(ort.InferenceSession(model.SerializeToString()).run(None, feeds))


@pytest.fixture(scope="module")
def segmenter() -> Imported:
    options = ImportOptions(weights="random", size=(64, 96), labels=MINE)
    return resolve("torchvision:lraspp_mobilenet_v3_large", options)


@pytest.fixture(scope="module")
def video_classifier() -> Imported:
    return resolve("torchvision:mc3_18", ImportOptions(weights="random", size=(32, 32)))


@pytest.mark.parametrize(
    ("fixture", "outputs"),
    [("segmenter", "mask uint8 [batch, 8, 12]"), ("video_classifier", "logits float32 [batch, 400]")],
)
def test_networks_of_every_task_become_packages_that_a_companion_takes(
    fixture: str, outputs: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    package = built(request.getfixturevalue(fixture), tmp_path)
    assert ", ".join(map(str, package.manifest.outputs)) == outputs
    assert len(package.manifest.cuts) > 1
    inspect(package)


def test_a_segmenter_has_torchvisions_classes_or_those_of_the_user(segmenter: Imported) -> None:
    task = made("lraspp_mobilenet_v3_large").task
    assert isinstance(task, Segment)
    assert (task.classes[0], task.classes[15], len(task.classes)) == ("__background__", "person", 21)
    assert segmenter.task == Segment(classes=MINE)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (ImportOptions(labels=("a", "b")), "there are 2 labels, but the network tells 21 classes apart"),
        (ImportOptions(resize_shorter=80), "this network sees all of it"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_export(
    options: ImportOptions, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision_networks, "export", lambda *_, **__: pytest.fail("it was exported"))
    with pytest.raises(InvalidRequest, match=why):
        resolve("torchvision:lraspp_mobilenet_v3_large", replace(options, weights="random", size=(64, 64)))


def test_a_segmenter_gives_the_class_of_each_cell_before_torchvision_enlarges_the_scores(segmenter: Imported) -> None:
    assert segmenter.picture == Picture(height=64, width=96, rule="letterbox_top_left", pad=116)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    (mask,) = run(segmenter.model, {"image": pixels})
    assert (str(mask.dtype), mask.shape) == ("uint8", (2, 8, 12))
    network = seeded("lraspp_mobilenet_v3_large")
    seen: list[torch.Tensor] = []
    network.classifier.register_forward_hook(lambda *given: seen.append(given[2]))
    mean, std = IMAGENET
    with torch.inference_mode():
        network(torch.from_numpy(((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)))
    scores = seen[0].numpy()
    best, second = np.sort(scores, axis=1)[:, -1], np.sort(scores, axis=1)[:, -2]
    sure = best - second > 1e-4 * np.abs(scores).max()  # rounding settles a tie
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(mask[sure], scores.argmax(axis=1)[sure])


def test_a_detector_of_one_size_takes_no_other() -> None:
    found = made("ssdlite320_mobilenet_v3_large")
    assert found.picture == Picture(height=320, width=320, rule="stretch", pad=116)
    assert isinstance(found.task, Detect)
    assert (found.task.classes[1], len(found.task.classes)) == ("person", 91)
    assert [output.name for output in found.export().graph.output] == ["boxes", "scores", "classes"]
    with pytest.raises(InvalidRequest, match="made for pictures of 320x320: leave --size out"):
        made("ssdlite320_mobilenet_v3_large", (300, 300))


def test_a_detector_of_any_size_takes_multiples_of_its_stride() -> None:
    with pytest.raises(InvalidRequest, match="takes sides that are multiples of 32, not 100x320"):
        made("retinanet_resnet50_fpn", (100, 320))


@pytest.mark.parametrize("name", [name for name in NAMES if "rcnn" in name])
def test_two_stages_are_refused_by_the_operators_that_leave_sizes_open(name: str) -> None:
    with pytest.raises(InvalidPackage, match=rf"{name} works in two stages: NonMaxSuppression and RoiAlign .*ssdlite"):
        made(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("quantized_")])
def test_pytorch_s_own_quantised_operators_are_refused(name: str) -> None:
    with pytest.raises(InvalidPackage, match=f"take {name.removeprefix('quantized_')}, and quantise .* QDQ"):
        made(name)


def test_a_video_classifier_takes_frames_as_a_tensor(video_classifier: Imported) -> None:
    assert (video_classifier.task, video_classifier.picture) == (Tensors(), None)
    clip = np.random.default_rng(0).standard_normal((1, 3, 16, 32, 32)).astype(np.float32)
    (logits,) = run(video_classifier.model, {"clip": clip})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.get_model("mc3_18", weights=None).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_all_networks_of_torchvision_have_a_task_or_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"no network 'resnet'; it has alexnet, .*ssd300_vgg16"):
        made("resnet")
