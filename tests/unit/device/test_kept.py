"""Things with settings, opened once and closed when nobody wants them any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collabd.device.kept import Kept


async def test_opened_once_and_closed_when_unwanted() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def make(key: str) -> AsyncIterator[list[str]]:
        log.append(f"+{key}")
        yield [key]
        log.append(f"-{key}")

    kept = Kept(make)
    a, b = await kept.get("a"), await kept.get("b")
    assert (a, await kept.get("a") is a, log) == (["a"], True, ["+a", "+b"])
    await kept.keep(["b", "c"])
    assert (await kept.get("b") is b, log) == (True, ["+a", "+b", "-a"])
    assert await kept.get("a") is not a
    await kept.close()
    assert log == ["+a", "+b", "-a", "+a", "-b", "-a"]


async def test_what_cannot_be_opened_is_not_kept() -> None:
    attempts: list[str] = []

    @asynccontextmanager
    async def make(key: str) -> AsyncIterator[None]:
        attempts.append(key)
        raise OSError("no")
        yield

    kept = Kept(make)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await kept.get("a")
    await kept.close()
    assert attempts == ["a", "a"]
