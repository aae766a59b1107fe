"""The smallest of the networks that ONNX tests its backends with; tests/packaging takes them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from collabd.catalog.authoring.importers import resolve
from tests.unit.catalog.authoring.foreign.networks import built, photo, whole_and_cut

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def test_it_is_taken_and_splits(tmp_path: Path) -> None:
    package = built(resolve(str(LIGHT / "light_squeezenet.onnx")), tmp_path)
    assert len(package.manifest.labels) == 1000
    whole, cut = whole_and_cut(package, photo(1, 224, 224))
    assert len(cut) >= 4
    for found in cut.values():
        np.testing.assert_allclose(found, whole, rtol=1e-5)
