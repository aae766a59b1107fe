"""What the engine asks of the C library, in a process of its own: it holds for all of it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_ENGINE = "from collabd.engine import Engine\nEngine(threads=1, cache_bytes=1)\n"
# After one that is freed glibc takes the next array from its heap, unless it is told otherwise: mallinfo(3).
_MAPPED = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd x0 x1 x2 x3 x4".split()]
libc.mallinfo2.restype = Info
libc.free(libc.malloc(8 << 20))
before = libc.mallinfo2().hblks
libc.malloc(1 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or newer")
@pytest.mark.parametrize(("program", "mapped"), [(_ENGINE + _MAPPED, 1), (_MAPPED, 0)])
def test_what_a_dropped_array_held_goes_back_to_the_system(program: str, mapped: int) -> None:
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(shown.stdout) == mapped
