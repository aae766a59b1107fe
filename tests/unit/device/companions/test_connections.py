"""Sessions that were left are closed, but never while an exchange is under way on them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import cast

import aiohttp

from collabd.device.companions.connections import Connections


class Leisurely:
    """A session whose `close` waits for `may_close`, as closing a TLS connection waits for the other side."""

    def __init__(self, may_close: asyncio.Event) -> None:
        self.closed = False
        self._may_close = may_close

    async def close(self) -> None:
        await self._may_close.wait()
        self.closed = True


async def test_a_session_that_is_begun_with_while_another_closes_stays_open() -> None:
    may_close = asyncio.Event()
    async with Connections(lambda: cast("aiohttp.ClientSession", Leisurely(may_close))) as connections:
        exchange = AsyncExitStack()
        first = await exchange.enter_async_context(connections.session())
        connections.leave()
        async with connections.session() as second:
            pass
        # The first session is closing while the next exchange starts on the second.
        first_ends = asyncio.create_task(exchange.aclose())
        await asyncio.sleep(0)
        async with connections.session() as again:
            assert again is second
            connections.leave()
            may_close.set()
            await first_ends
            assert (first.closed, second.closed) == (True, False)
        assert second.closed
