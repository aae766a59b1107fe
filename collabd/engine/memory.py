"""The memory in which sessions run."""

from __future__ import annotations

from functools import cache

import onnxruntime as ort

from collabd.limits.memory import usable_memory

_MB = 1 << 20
# A session takes about twice its own bytes while it is built.
_SHARE_OF_SESSIONS = 1 / 8
_MOST_OF_SESSIONS = 128 * _MB


def session_bytes(cache_mb: int, *, kinds: int = 1) -> int:
    """What all sessions may take together: `cache_mb` of the settings, or by the memory if that is 0.

    `kinds`: how many sessions a part has, each for another number of threads.
    """
    return cache_mb * _MB or min(kinds * _MOST_OF_SESSIONS, int(usable_memory() * _SHARE_OF_SESSIONS))


@cache
def share_arena() -> None:
    """Give the process one arena for activations, instead of one for each session: 10 MB for each of EfficientNet.

    Sessions use it because of their entry ``session.use_env_allocators``. Several threads may run in it at once.
    """
    cpu = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # No limit; growth, first chunk and waste as the runtime has them by default.
    ort.create_and_register_allocator(cpu, ort.OrtArenaCfg(0, -1, -1, -1))
