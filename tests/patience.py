"""Waits that are bounded: what does not come fails the test that waits for it, and hangs nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

# s. What a test waits for takes a second at most; a busy machine may be ten times slower.
PATIENCE_S = 120.0
# s. A program that imports and computes.
PROGRAM_S = 300.0


def reached(event: threading.Event) -> None:
    """Wait until it is set."""
    assert event.wait(PATIENCE_S), f"nobody set it in {PATIENCE_S:.0f} s"


def joined(thread: threading.Thread) -> None:
    """Wait until it has ended."""
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), f"{thread.name} did not end in {PATIENCE_S:.0f} s"


def until(true: Callable[[], bool]) -> None:
    """Wait until it is so, looking a hundred times a second."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not become so in {PATIENCE_S:.0f} s"
        time.sleep(0.01)


async def comes_true(true: Callable[[], bool]) -> None:
    """As `until`, in an event loop. Each look counts, not the time that a machine stands still in between."""
    for _ in range(int(PATIENCE_S / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not become so in {PATIENCE_S:.0f} s")
