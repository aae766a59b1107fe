"""Packages of files that a client sent: the network gets exactly the values that the client makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.sent import take
from collabd.catalog.package.package import load
from collabd.catalog.package.sent_detector import SentDetector
from collabd.catalog.trial.apart import REFUSED
from collabd.engine import Engine
from collabd.tasks.suppression import suppress
from tests import task_networks
from tests.unit.catalog.authoring.detect import test_decoders as cases
from tests.unit.catalog.authoring.detect.networks import run
from tests.unit.catalog.authoring.detect.references import non_maximum_suppression

FAMILIES = {
    "yolox": (cases.yolox(96, 96, classes=80, white=255), True),
    "yolov8": (cases.yolov8(), False),
    "yolo-nas": (cases.yolo_nas(), False),
    "rf-detr": (cases.rf_detr(), False),
    "rt-detr": (cases.rt_detr(), False),
    "ssd": (cases.ssd(), False),
}


def file_of(model: onnx.ModelProto, tmp_path: Path) -> Path:
    path = tmp_path / "sent.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_gets_the_values_as_they_came(family: str, tmp_path: Path) -> None:
    case, levels = FAMILIES[family]
    path = file_of(case.model, tmp_path)
    taken, package = take(path, tmp_path / "package", name="sent", min_confidence=0.3, iou_threshold=0.4)
    assert taken == SentDetector(family, levels)
    picture = package.manifest.require_picture()
    assert picture.rule == "stretch"
    pixels = np.random.default_rng(0).integers(0, 256, (1, picture.height, picture.width, 3), np.uint8)
    planes = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    feeds = {"images": planes if levels else planes / 255}
    if len(case.model.graph.input) == 2:
        feeds["orig_target_sizes"] = np.array([[picture.width, picture.height]])
    reference = case.reference([each[0] for each in run(case.model, **feeds)])
    engine = Engine(threads=1, cache_bytes=2**28)
    engine.add("whole", package.network())
    (source,), outputs = package.manifest.input_names, package.manifest.output_names
    found = engine.run("whole", {source: pixels}, outputs)
    boxes, scores, classes = (found[name][0] for name in outputs)
    kept = suppress(boxes, scores, classes, iou_threshold=0.4, most=5)
    # The best of what is left, since an answer has no room for all of 300 boxes.
    best = reference.best(100)
    expected = non_maximum_suppression(best, score_threshold=0.0, iou_threshold=0.4).best(5)
    np.testing.assert_allclose(scores[kept], expected.scores, atol=5e-3)


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    path = file_of(task_networks.segmenter(), tmp_path)
    with pytest.raises(InvalidPackage, match="no detector that collabd knows"):
        take(path, tmp_path / "package", name="sent", min_confidence=0.3, iou_threshold=0.4)


@pytest.mark.slow
def test_the_process_says_what_it_took_the_file_for(tmp_path: Path) -> None:
    def said(path: Path) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-I", "-m", "collabd.catalog.authoring.sent", str(path), "sent"]
        command += [str(tmp_path / "package"), "0.4", "0.4"]
        return subprocess.run(command, capture_output=True, timeout=300, check=False)

    done = said(file_of(FAMILIES["yolov8"][0].model, tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    assert msgspec.json.decode(done.stdout, type=SentDetector) == SentDetector("yolov8", levels=False)
    assert load(tmp_path / "package").manifest.name == "sent"
    path = tmp_path / "junk.onnx"
    path.write_bytes(b"junk")
    refused = said(path)
    assert refused.returncode == REFUSED
    assert b"not a readable ONNX file" in refused.stdout
