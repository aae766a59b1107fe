"""What becomes of the memory of sessions, in a process of its own."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from collabd.partition import Network
from tests.patience import PROGRAM_S

# Arrays of which the last is still in use keep the rest of the heap from being returned by itself.
_HOLES = """
import sys
from pathlib import Path
import onnx
from collabd.engine import Engine
from collabd.engine.session import Session
from collabd.partition import Network
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
Engine(threads=1, cache_bytes=1)
network = Network.from_proto(onnx.load(sys.argv[1]))
session = Session(network.subgraph(["x"], ["y"]), 1)
arrays = [bytearray(b"x") * (1 << 20) for _ in range(64)]
last = arrays[-1]
del arrays
before = resident()
del session
print((before - resident()) >> 20)
"""
pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc, which alone has these settings"
)


def test_a_dropped_session_returns_the_free_parts_of_the_heap(tmp_path: Path, mlp: Network) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(mlp.subgraph(["x"], ["y"]).model)
    shown = subprocess.run(
        [sys.executable, "-c", _HOLES, str(model)], capture_output=True, text=True, check=True, timeout=PROGRAM_S
    )
    assert int(shown.stdout) >= 60
