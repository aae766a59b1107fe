"""The memory in which sessions run."""

from __future__ import annotations

from functools import cache

import onnxruntime as ort


@cache
def share_arena() -> None:
    """Give the process one arena for activations, instead of one for each session: 10 MB for each of EfficientNet.

    Sessions use it because of their entry ``session.use_env_allocators``. Several threads may run in it at once.
    """
    cpu = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # No limit; growth, first chunk and waste as the runtime has them by default.
    ort.create_and_register_allocator(cpu, ort.OrtArenaCfg(0, -1, -1, -1))
