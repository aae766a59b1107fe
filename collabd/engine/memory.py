"""The memory in which sessions run."""

from __future__ import annotations

from functools import cache

import onnxruntime as ort

# More than the activations of most networks for 224x224 pixels.
_ARENA_BYTES = 32 << 20


@cache
def share_arena() -> None:
    """Give the process one arena for activations, instead of one for each session: 10 MB for each of EfficientNet.

    Sessions use it because of their entry ``session.use_env_allocators``. Several threads may run in it at once.

    It begins with one large piece of address space, of which only what runs touch is memory: 8 MB for the heads of
    EfficientNet-Lite0 in turn. An arena that grows from the runtime's 1 MB has several pieces, of which runs touch more
    and more: 15 MB.
    """
    cpu = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # No limit; growth and waste as the runtime has them by default.
    ort.create_and_register_allocator(cpu, ort.OrtArenaCfg(0, -1, _ARENA_BYTES, -1))
