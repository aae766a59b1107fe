"""Keeps things open over a change of the configuration if their own settings stay the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(eq=False)
class _Open(Generic[Value]):
    value: Value
    closing: AsyncExitStack
    holders: int = 0


class Reused(Generic[Key, Value]):
    """Holds one open thing for each key, which is its settings. `make` returns the context that opens and closes it."""

    def __init__(self, make: Callable[[Key], AbstractAsyncContextManager[Value]]) -> None:
        self._make = make
        self._open: dict[Key, _Open[Value]] = {}

    @asynccontextmanager
    async def held(self, key: Key) -> AsyncIterator[Value]:
        """Hold the thing with the settings `key`. The first holder opens it, the last holder closes it.

        Only one task at a time may open things. Other tasks may close things meanwhile.
        """
        kept = self._open.get(key) or await self._opened(key)
        kept.holders += 1
        try:
            yield kept.value
        finally:
            kept.holders -= 1
            if not kept.holders:
                del self._open[key]
                await kept.closing.aclose()

    async def _opened(self, key: Key) -> _Open[Value]:
        closing = AsyncExitStack()
        kept = self._open[key] = _Open(await closing.enter_async_context(self._make(key)), closing)
        return kept
