"""The kept-alive connections to a companion.

A router, a tunnel or a sleeping machine may forget a connection. The connection still looks alive, but everything sent
on it is lost, and no error is reported. When the device finds one such connection, the other idle ones are probably
dead too, and each would delay a call or a probe. So the device leaves all of them at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp


class Connections:
    """The sessions with one companion. Use it as an async context manager.

    `connect` makes a new session, with its own empty pool of connections.
    """

    def __init__(self, connect: Callable[[], aiohttp.ClientSession]) -> None:
        self._connect = connect
        self._latest: aiohttp.ClientSession | None = None
        # For each open session: how many exchanges it carries now.
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
        """The session for one exchange; stay inside until the exchange has ended."""
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
        """Start later exchanges on new connections. Exchanges under way keep theirs."""
        self._latest = None

    async def _close_unused(self) -> None:
        # Forget all unused sessions before the first await. Then no exchange can start on a session that is closing.
        unused = [each for each, under_way in self._exchanges.items() if not under_way and each is not self._latest]
        for session in unused:
            del self._exchanges[session]
        for session in unused:
            await session.close()
