"""From a detector's file to a package, and from a picture to boxes in pixels of that picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import Imported, ImportOptions, resolve
from collabd.catalog.package.coco import COCO_80
from collabd.catalog.package.manifest import Detect, Tensors
from collabd.catalog.package.package import load
from collabd.catalog.trial.inspection import inspect
from collabd.engine import Engine
from collabd.imaging import prepare
from collabd.tasks.answering import answers_of
from tests.unit.catalog.authoring.detect import test_decoders as cases
from tests.unit.catalog.authoring.detect.networks import Net, run
from tests.unit.catalog.authoring.detect.references import Candidates, non_maximum_suppression

# Two thirds, so that the height fits the input without rounding.
WIDTH, HEIGHT = 150, 100


def imported(model: onnx.ModelProto, tmp_path: Path, **stated: Any) -> Imported:
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return resolve(str(path), ImportOptions(**stated))


def photograph() -> np.ndarray:
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (10, 15, 3), np.uint8))
    return np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def placed_top_left(pixels: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """YOLOX's own preparation: as large as fits, at the top left, the rest grey. And the scale."""
    scale = min(height / HEIGHT, width / WIDTH)
    size = (round(WIDTH * scale), round(HEIGHT * scale))
    whole = np.full((height, width, 3), 114, np.uint8)
    whole[: size[1], : size[0]] = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    return whole, scale


def within(found: Candidates, width: int, height: int) -> Candidates:
    """Those of which something lies in this part at the top left."""
    x1, y1, x2, y2 = found.boxes.T
    shows = (np.maximum(x1, 0) < np.minimum(x2, width)) & (np.maximum(y1, 0) < np.minimum(y2, height))
    return Candidates(found.boxes[shows], found.scores[shows], found.classes[shows])


@pytest.mark.slow
def test_boxes_come_back_in_pixels_of_the_picture(tmp_path: Path) -> None:
    case = cases.yolox(96, 96, classes=80, white=255)
    network = imported(case.model, tmp_path, score_threshold=0.2)
    assert isinstance(network.task, Detect)
    assert network.task.classes == COCO_80
    assert (network.task.score_threshold, network.task.iou_threshold) == (0.2, 0.45)
    assert network.notes[0].startswith("it is a detector of the kind YOLOX: output float32 [1, 189, 85]")
    assert network.picture is not None
    assert (network.picture.rule, network.picture.pad) == ("letterbox_top_left", 114)
    package = build(
        network.model,
        name="yolox",
        task=network.task,
        picture=network.picture,
        licence="none",
        provenance="random weights",
        out=tmp_path / "package",
    )
    inspect(load(package.path))

    pixels = photograph()
    engine = Engine(threads=1, cache_bytes=0)
    engine.add("yolox", package.network())
    feeds = {package.manifest.input_names[0]: prepare(pixels, network.picture)}
    outputs = engine.run("yolox", feeds, package.manifest.output_names)
    found = answers_of(package.manifest)(outputs, (WIDTH, HEIGHT))

    whole, scale = placed_top_left(pixels, 96, 96)
    planes = whole[np.newaxis, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    best = case.reference([run(case.model, images=planes)[0][0]]).best(300)
    left = non_maximum_suppression(within(best, 96, 64), score_threshold=0.2, iou_threshold=0.45)
    # The graph gives its 100 best boxes, and some of them lie in the pad.
    count = len(found["scores"])
    assert 50 < count < 100
    left = left.best(count)
    np.testing.assert_allclose(found["scores"], left.scores, rtol=1e-3)
    np.testing.assert_array_equal(found["classes"], left.classes)
    expected = np.clip(left.boxes / scale, 0, [WIDTH, HEIGHT] * 2)
    np.testing.assert_allclose(found["boxes"], expected, rtol=1e-3, atol=0.01)


@pytest.mark.slow
def test_every_cut_gives_what_the_whole_network_gives(tmp_path: Path) -> None:
    network = imported(cases.nanodet_g(64, 96).model, tmp_path)
    assert isinstance(network.task, Detect)
    package = build(
        network.model,
        name="nanodet",
        task=network.task,
        picture=network.picture,
        licence="none",
        provenance="random weights",
        out=tmp_path / "package",
    )
    manifest = package.manifest
    assert manifest.dynamic_batch
    assert network.picture is not None
    engine = Engine(threads=1, cache_bytes=0)
    whole_network = package.network()
    engine.add("net", whole_network)
    feeds = {manifest.input_names[0]: prepare(photograph(), network.picture)}
    whole = engine.run("net", feeds, manifest.output_names)
    assert len(manifest.cuts) > 2
    for cut in manifest.cuts[1:]:
        features = engine.run("net", feeds, cut.tensors)
        missing = [name for name in manifest.output_names if name not in features]
        needed = whole_network.needed(cut.tensors, missing)
        tail = engine.run("net", {name: features[name] for name in needed}, missing)
        for name in missing:
            np.testing.assert_allclose(tail[name], whole[name], rtol=1e-4, atol=1e-4)


def test_the_second_input_of_rt_detr_becomes_a_constant(tmp_path: Path) -> None:
    network = imported(cases.rt_detr().model, tmp_path)
    assert isinstance(network.task, Detect)
    assert len(network.model.graph.input) == 1
    assert network.task.iou_threshold == 1


def test_the_user_knows_better(tmp_path: Path) -> None:
    labels = tuple(f"thing {number}" for number in range(80))
    network = imported(
        cases.yolox(96, 96, classes=80).model,
        tmp_path,
        decoder="yolox",
        labels=labels,
        rule="letterbox",
        channels="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        iou_threshold=0.0,
    )
    assert isinstance(network.task, Detect)
    assert (network.task.classes, network.task.iou_threshold, network.task.score_threshold) == (labels, 0.0, 0.3)
    assert network.picture is not None
    assert network.picture.rule == "letterbox"
    assert "float32 [batch, 3, height, width], RGB, normalised by mean 0 0 0 and std 1 1 1" in " ".join(network.notes)


def test_names_and_size_come_from_the_file(tmp_path: Path) -> None:
    model = cases.yolov8(64, 96).model
    names = {number: f"kind {number}" for number in range(cases.CLASSES)}
    helper.set_model_props(model, {"names": str(names), "imgsz": "[64, 96]", "task": "detect"})
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "side"
    network = imported(model, tmp_path)
    assert isinstance(network.task, Detect)
    assert network.task.classes == tuple(names.values())
    assert network.picture is not None
    assert (network.picture.height, network.picture.width, network.picture.rule) == (64, 96, "letterbox")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = cases.yolox(96, 96, classes=80).model
    with pytest.raises(InvalidPackage, match="80 classes apart, but there are 2 labels"):
        imported(model, tmp_path, labels=("cat", "dog"))
    with pytest.raises(InvalidPackage, match=r"YOLOv5 or YOLOv7 gives .* but this graph gives output float32"):
        imported(model, tmp_path, decoder="yolov5")
    with pytest.raises(InvalidRequest, match="--resize-shorter"):
        imported(model, tmp_path, rule="letterbox", resize_shorter=100)


def test_other_networks_keep_their_outputs(tmp_path: Path) -> None:
    net = Net(64, 96)
    model = net.model({"features": net.pyramid([16])[16]})
    assert isinstance(imported(model, tmp_path).task, Tensors)
    with pytest.raises(InvalidRequest, match="thresholds are for detectors"):
        imported(model, tmp_path, score_threshold=0.5)
    with pytest.raises(InvalidPackage, match="YOLOX gives"):
        imported(model, tmp_path, decoder="yolox")
