"""Nothing that runs here is reported to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from collabd.catalog.package.package import Package

_RUN = """
import sys
from pathlib import Path
import onnx
from collabd.engine import Engine
from collabd.partition import Network

engine = Engine(threads=1, cache_bytes=1)
network = Network.from_proto(onnx.load(sys.argv[1]))
engine.add("", network)
engine.prepare("", [tensor.name for tensor in network.inputs], [tensor.name for tensor in network.outputs])
"""


def test_the_runtime_leaves_no_identifier_behind(tmp_path: Path, tiny_package: Package) -> None:
    model = tiny_package.path / "model.onnx"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", _RUN, str(model)], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
