"""`collabctl models quantise` and `models add --int8`: what is built, and what reaches the daemon."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from PIL import Image

from collab_sdk.reports import ModelReport
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import MODEL, Package, load
from tests.task_networks import package_of
from tests.unit.ctl.conftest import MODEL as SERVED

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run

BOTH = (Precision.FP32, Precision.INT8)


@pytest.fixture
def photos(tiny_images: list[np.ndarray], tmp_path: Path) -> Path:
    """A folder of sixty pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, image in enumerate(tiny_images):
        Image.fromarray(image).save(folder / f"{index:02}.png")
    return folder


def test_a_package_directory_is_quantised(
    daemon: LittleDaemon, run: Run, tiny_package: Package, photos: Path, tmp_path: Path
) -> None:
    ran = run("models", "quantise", tiny_package.path, "--calibration", photos, "--out", tmp_path / "out", "--no-load")
    assert (ran.exit_code, ran.stdout, daemon.asked) == (0, "", [])
    made = load(tmp_path / "out")
    assert made.manifest.precisions == BOTH
    assert (made.path / MODEL).read_bytes() == (tiny_package.path / MODEL).read_bytes()
    first, *_, last = ran.stderr.splitlines()
    assert first == "quantising tiny with 60 images ..."
    assert "0 of 3 layers are left in fp32: none" in ran.stderr
    assert last.startswith("int8: fidelity of ")
    assert "MB, that of fp32 " in last


def test_what_the_daemon_serves_is_quantised_and_loaded_again(
    daemon: LittleDaemon, run: Run, tiny_package: Package, photos: Path
) -> None:
    found: list[Package] = []

    def look(_: object) -> ModelReport:
        (asked,) = (asked for asked in daemon.asked if asked.line == "POST /collab/v1/models")
        found.append(load(Path(json.loads(asked.body)["path"])))
        return SERVED

    daemon.answers["GET /collab/v1/models"] = {"models": [SERVED | {"path": str(tiny_package.path)}]}
    daemon.answers["POST /collab/v1/models"] = look
    ran = run("models", "quantise", "net", "--calibration", photos)
    assert (ran.exit_code, ran.stdout) == (0, "added net (0123456789ab): 3 layers, 2 cuts\n")
    assert [made.manifest.precisions for made in found] == [BOTH]
    assert tiny_package.manifest.precisions == (Precision.FP32,)


def test_an_unknown_model_is_told(run: Run, photos: Path) -> None:
    ran = run("models", "quantise", "nett", "--calibration", photos)
    assert ran.exit_code == 1
    assert "no model 'nett' is loaded (these are: net, other), did you mean 'net'?" in ran.stderr


def test_a_package_may_be_replaced_by_itself(run: Run, tiny_package: Package, photos: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(tiny_package.path, tmp_path / "tiny"))
    assert run("models", "quantise", own, "--calibration", photos, "--out", own, "--no-load").exit_code == 0
    assert load(own).manifest.precisions == BOTH


def test_too_few_pictures_are_refused_before_anything_is_tried(
    run: Run, tiny_package: Package, photos: Path, tmp_path: Path
) -> None:
    for path in sorted(photos.iterdir())[31:]:
        path.unlink()
    ran = run("models", "quantise", tiny_package.path, "--calibration", photos, "--out", tmp_path / "out", "--no-load")
    assert ran.exit_code == 1
    assert "int8 needs at least 32 pictures that differ, better 300, and there are 31" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_network_of_tensors_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    package = package_of("tensors", tmp_path / "mixer")
    ran = run("models", "quantise", package.path, "--calibration", photos, "--out", tmp_path / "out", "--no-load")
    assert ran.exit_code == 1
    assert "takes tensors" in ran.stderr


def test_nothing_is_built_for_nothing(run: Run, tiny_package: Package, photos: Path) -> None:
    ran = run("models", "quantise", tiny_package.path, "--calibration", photos, "--no-load")
    assert ran.exit_code == 2
    assert "--no-load keeps nothing without --out" in ran.stderr


def test_a_network_is_added_with_both_graphs(
    run: Run, tiny_model: onnx.ModelProto, photos: Path, tmp_path: Path
) -> None:
    onnx.save(tiny_model, tmp_path / "shapes.onnx")
    words = ["--int8", "--calibration", photos, "--out", tmp_path / "out", "--no-load"]
    ran = run("models", "add", tmp_path / "shapes.onnx", *words)
    assert ran.exit_code == 0
    assert load(tmp_path / "out").manifest.precisions == BOTH
    assert "int8: fidelity of " in ran.stderr
    assert "built shapes: " in ran.stderr.splitlines()[-1]


def test_adding_with_int8_wants_pictures(run: Run, tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(tiny_model, tmp_path / "shapes.onnx")
    ran = run("models", "add", tmp_path / "shapes.onnx", "--int8", "--out", tmp_path / "out", "--no-load")
    assert ran.exit_code == 2
    assert "--int8 needs --calibration DIR" in ran.stderr
