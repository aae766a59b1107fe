"""What the engine asks of the C library, in a process of its own: it holds for all of it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from collabd.partition import Network

_ENGINE = """
from collabd.engine import Engine
Engine(threads=1, cache_bytes=1)
"""
# Each is as large as a frame of 640x480, and written whole. The first two are not counted.
_FRAMES = """
import resource
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(102):
    if turn == 2:
        before = faults()
    frame = bytearray(b"x") * (640 * 480 * 3)
    small = bytes(frame)
    del frame, small
print((faults() - before) // 100)
"""
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


def test_frames_reuse_the_memory_of_the_frames_before() -> None:
    assert _printed(_ENGINE + _FRAMES) < 5


def test_a_dropped_session_returns_the_free_parts_of_the_heap(tmp_path: Path, mlp: Network) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(mlp.subgraph(["x"], ["y"]).model)
    assert _printed(_HOLES, str(model)) >= 60


def _printed(program: str, *arguments: str) -> int:
    shown = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return int(shown.stdout)
