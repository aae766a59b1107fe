"""Things that outlive a change of the configuration as long as their own settings stay the same."""

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
    """One open thing for each of the settings asked for; `make` opens it, and leaving its context closes it."""

    def __init__(self, make: Callable[[Key], AbstractAsyncContextManager[Value]]) -> None:
        self._make = make
        self._open: dict[Key, _Open[Value]] = {}

    @asynccontextmanager
    async def held(self, key: Key) -> AsyncIterator[Value]:
        """The thing with these settings, opened if it is not; its last holder closes it.

        One at a time opens things; any may close them meanwhile.
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
