"""Things that outlive a change of the configuration as long as their own settings stay the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """One open thing for each of the settings asked for; `make` opens it, and leaving its context closes it."""

    def __init__(self, make: Callable[[Key], AbstractAsyncContextManager[Value]]) -> None:
        self._make = make
        self._open: dict[Key, tuple[Value, AsyncExitStack]] = {}

    async def get(self, key: Key) -> Value:
        """The thing with these settings, opened if it is not."""
        if key not in self._open:
            stack = AsyncExitStack()
            self._open[key] = await stack.enter_async_context(self._make(key)), stack
        return self._open[key][0]

    async def keep(self, keys: Collection[Key]) -> None:
        """Close all but these."""
        for key in [key for key in self._open if key not in keys]:
            await self._open.pop(key)[1].aclose()

    async def close(self) -> None:
        """Close all."""
        await self.keep(())
