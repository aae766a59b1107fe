"""A thing is opened once for its settings, and closed when its last holder leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from collabd.device.core.reuse import Reused


async def test_opened_once_and_closed_with_the_last_holder() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def make(key: str) -> AsyncIterator[list[str]]:
        log.append(f"+{key}")
        yield [key]
        log.append(f"-{key}")

    kept = Reused(make)
    async with AsyncExitStack() as before:
        a = await before.enter_async_context(kept.held("a"))
        b = await before.enter_async_context(kept.held("b"))
        assert (a, b, log) == (["a"], ["b"], ["+a", "+b"])
        async with kept.held("b") as again:
            assert again is b
            await before.aclose()
            assert log == ["+a", "+b", "-a"]
            async with kept.held("b") as still, kept.held("a") as anew:
                assert still is b
                assert anew is not a
        assert log == ["+a", "+b", "-a", "+a", "-a", "-b"]


async def test_what_cannot_be_opened_is_not_kept() -> None:
    attempts: list[str] = []

    @asynccontextmanager
    async def make(key: str) -> AsyncIterator[None]:
        attempts.append(key)
        raise OSError("no")
        yield

    kept = Reused(make)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            async with kept.held("a"):
                pass
    assert attempts == ["a", "a"]
