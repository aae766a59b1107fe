"""What a daemon does for its memory when it is ready, and whenever nobody has called for a while."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from collabd.heap import return_free_memory

_LOOK_S = 30.0
# Less processor time than this between two looks is what a daemon takes that nobody calls, or hardly anybody.
_BUSY_S = 0.1


def tidy() -> None:
    """Free what is garbage and return free memory. From now on the garbage collector passes over what is there now.

    Once the models are loaded there are 80,000 objects. The collector takes 40 ms to look at all of them, and does so
    every few thousand calls, in the midst of one. What calls add are some thousands.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return_free_memory()


async def tidy_when_quiet(
    *,
    processor_s: Callable[[], float] = time.process_time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    work: Callable[[], None] = tidy,
) -> None:
    """Do `work` now, and again each time that this process was busy and then was not for half a minute."""
    work()
    was_busy = True
    while True:
        before_s = processor_s()
        await sleep(_LOOK_S)
        busy = processor_s() - before_s > _BUSY_S
        if was_busy and not busy:
            work()
        was_busy = busy
