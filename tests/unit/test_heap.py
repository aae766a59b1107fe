"""What is asked of the C library, in a process of its own: it holds for all of it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tests.patience import PROGRAM_S

# Each is as large as a frame of 640x480, and written whole. The first two are not counted.
_FRAMES = """
import resource
from collabd.heap import steady_heap
steady_heap()
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
pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc, which alone has these settings"
)


def test_frames_reuse_the_memory_of_the_frames_before() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _FRAMES], capture_output=True, text=True, check=True, timeout=PROGRAM_S
    )
    assert int(shown.stdout) < 5
