"""What the device daemon makes of the packages that it finds."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import msgspec
import onnx
import pytest

from collabd.catalog.package import Package, write
from collabd.catalog.store import Store
from collabd.device.compute import Lane
from collabd.device.models import Models
from collabd.engine import Engine


async def test_a_package_whose_graph_is_no_good_is_left_out(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = onnx.load(tiny_package.path / "model.onnx")
    del graph.graph.value_info[:]
    broken = msgspec.structs.replace(tiny_package.manifest, name="broken")
    write(tmp_path / "broken", broken, graph.SerializeToString(), "CC0-1.0")
    shutil.copytree(tiny_package.path, tmp_path / "tiny")
    lane = Lane(1.0)
    models = Models(Store([tmp_path]), Engine(threads=1, cache_bytes=2**24), lane, "")
    with caplog.at_level(logging.ERROR):
        await models.load_all()
    lane.close()
    assert [model.manifest.name for model in models] == ["tiny"]
    assert "broken is left out" in caplog.text
