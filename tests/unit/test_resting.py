from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable
from contextlib import suppress

from collabd.resting import tidy, tidy_when_quiet


class Loop:
    """In a loop with itself."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_freed_even_if_it_was_passed_over_before() -> None:
    garbage = Loop()
    seen = weakref.ref(garbage)
    tidy()
    assert gc.get_freeze_count() > 0
    del garbage
    gc.collect()
    assert seen() is not None
    tidy()
    assert seen() is None
    gc.unfreeze()


async def test_the_daemon_tidies_when_it_is_ready_and_once_each_time_that_it_has_become_quiet() -> None:
    assert await tidied([]) == 1
    assert await tidied([9, 9, 9]) == 1
    assert await tidied([9, 9, 0]) == 2
    assert await tidied([0, 0, 0]) == 2
    assert await tidied([9, 0, 0, 9, 0, 0]) == 3


async def tidied(taken_s: Iterable[float]) -> int:
    """How often, where the process takes so many seconds of a core from each look to the next."""
    used_s, done = 0.0, 0
    coming = iter(taken_s)

    async def sleep(_: float) -> None:
        nonlocal used_s
        try:
            used_s += next(coming)
        except StopIteration:
            raise asyncio.CancelledError from None

    def work() -> None:
        nonlocal done
        done += 1

    with suppress(asyncio.CancelledError):
        await tidy_when_quiet(processor_s=lambda: used_s, sleep=sleep, work=work)
    return done
