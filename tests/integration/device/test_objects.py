"""The detector that comes with collabd, on photographs, through both daemons and at every cut."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from collab_sdk import Detections
from collabd.catalog.package.package import Package, load
from tests.integration.device.conftest import Bench, Factory

MODELS = Path(__file__).parents[3] / "models"
SAMPLES = MODELS / "samples"
SHOWN: dict[str, list[str]] = json.loads((SAMPLES / "objects.json").read_text())
# Bytes: its 100 best boxes with scores and classes, and the headers.
MOST_DOWN = 4096


@pytest.fixture(scope="module")
def tiny_package() -> Package:
    return load(MODELS / "nanodet_g" / "package")


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The intersection over union of boxes, float32 [n, 4], pair by pair."""
    shared = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    inside = shared.clip(0).prod(axis=1)
    both: np.ndarray = (one[:, 2:] - one[:, :2]).prod(axis=1) + (other[:, 2:] - other[:, :2]).prod(axis=1) - inside
    return np.asarray(inside / both)


def require_same(found: Detections, expected: Detections) -> None:
    assert found.class_name == expected.class_name
    assert (overlap(found.xyxy, expected.xyxy) >= 0.99).all()
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)


async def split_everywhere(it: Bench, photo: Path, package: Package) -> Detections:
    whole = await it.client.infer(photo, placement="D" * len(package.manifest.layers))
    assert "C" not in whole.ran
    for cut in package.manifest.cuts:
        codec = "f32" if cut.head_layers else "u8"
        split = await it.client.infer(photo, cut=cut.name, codec=codec, fallback="fail")
        assert "C" in split.ran
        require_same(split.detections, whole.detections)
        assert split.bytes_down <= MOST_DOWN
    return whole.detections


async def test_boxes_are_the_same_wherever_it_is_cut_and_show_what_is_there(
    bench: Factory, tiny_package: Package
) -> None:
    async with bench() as it:
        for name, shown in SHOWN.items():
            found = await split_everywhere(it, SAMPLES / name, tiny_package)
            missed = Counter(shown) - Counter(found.class_name)
            assert not missed, f"{name}: {found.class_name}"
