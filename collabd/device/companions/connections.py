"""The kept-alive connections to a companion.

One that a router, a tunnel or a sleeping machine has forgotten looks alive: what is sent on it is lost without a word.
Where one is found so, the others that have been idle will be no better, and each would cost a call or a probe its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp


class Connections:
    """Connections that can be left behind all at once; use it as an async context manager.

    `connect` makes a session with a pool of its own, which has no connection yet.
    """

    def __init__(self, connect: Callable[[], aiohttp.ClientSession]) -> None:
        self._connect = connect
        self._latest: aiohttp.ClientSession | None = None
        # All that are open, with the exchanges under way on them.
        self._exchanges: Counter[aiohttp.ClientSession] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in list(self._exchanges):
            await session.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Around one exchange: the session to make it with."""
        if self._latest is None:
            self._latest = self._connect()
        session = self._latest
        self._exchanges[session] += 1
        try:
            yield session
        finally:
            self._exchanges[session] -= 1
            await self._close_unused()

    def leave(self) -> None:
        """Begin the exchanges to come on fresh connections; those under way end on the ones that they have."""
        self._latest = None

    async def _close_unused(self) -> None:
        # All at once, before anything else runs: nobody begins with one that is not the latest.
        unused = [each for each, under_way in self._exchanges.items() if not under_way and each is not self._latest]
        for session in unused:
            del self._exchanges[session]
        for session in unused:
            await session.close()
