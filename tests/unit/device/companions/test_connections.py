"""Which sessions are closed, and when: never one on which an exchange is under way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import cast

import aiohttp

from collabd.device.companions.connections import Connections


class Leisurely:
    """A session that takes until `may_close` to close, as one does that says goodbye."""

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
        # Neither has an exchange now, and the first is on its way out.
        first_ends = asyncio.create_task(exchange.aclose())
        await asyncio.sleep(0)
        async with connections.session() as again:
            assert again is second
            connections.leave()
            may_close.set()
            await first_ends
            assert (first.closed, second.closed) == (True, False)
        assert second.closed
