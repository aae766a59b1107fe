"""Measures that keep the memory of a process small, although sessions come and go."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import onnxruntime as ort

# mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MAPPED_BYTES = 256 << 10


@cache
def steady_heap() -> None:
    """Make the process give back the memory of dropped sessions, so that it does not grow with every session.

    By default glibc ends up taking arrays of up to 32 MB from its heaps, of which each thread has its own. What is
    still in use there keeps the holes beside it from being returned. Measured with tails of three networks in a cache
    of 128 MB, a few hundred of them built and dropped. By one thread: from 304 to 320 MB resident, with these settings
    304 MB before and after. By four threads: 320 to 380 MB from round to round, with these settings 319 to 330 MB.
    Calls take as long as without them. Only glibc has them.
    """
    if (mallopt := _glibc("mallopt")) is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _MAPPED_BYTES)
        mallopt(_M_ARENA_MAX, 2)


@cache
def share_arena() -> None:
    """Give the process one arena for activations, instead of one for each session: 10 MB for each of EfficientNet.

    Sessions use it because of their entry ``session.use_env_allocators``. Several threads may run in it at once.
    """
    cpu = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # No limit; growth, first chunk and waste as the runtime has them by default.
    ort.create_and_register_allocator(cpu, ort.OrtArenaCfg(0, -1, -1, -1))


def return_free_memory() -> None:
    """Return freed memory to the system, since building a session leaves a copy of its constants on the heap.

    After the first session of EfficientNet-Lite0 51 MB were measured without this, 27 MB with it. Only glibc needs it.
    """
    if (trim := _glibc("malloc_trim")) is not None:
        trim(0)


def _glibc(function: str) -> Any | None:
    return getattr(ctypes.CDLL(None), function, None)
