"""The kept-alive connections to a companion.

A router, a tunnel or a sleeping machine may forget a connection. The connection still looks alive, but everything sent
on it is lost, and no error is reported. When the device finds one such connection, the other idle ones are probably
dead too, and each would delay a call or a probe. So the device leaves all of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from collabd.clock import MONOTONIC, Clock
from collabd.device.companions.connection import Address, CompanionConnection

# A new connection costs a round trip, with TLS three. So connections stay open for so long without a call.
_IDLE_S = 60.0


class Connections:
    """The connections with one companion. Use it as an async context manager. `connect` makes a new connection."""

    def __init__(
        self, connect: Callable[[Address], Awaitable[CompanionConnection]], *, clock: Clock = MONOTONIC
    ) -> None:
        self._connect = connect
        self._clock = clock
        # With the time since when each is idle; the latest is the last.
        self._idle: list[tuple[CompanionConnection, float]] = []
        self._busy: set[CompanionConnection] = set()
        # Those that are not to be used again, when their exchange has ended.
        self._left: set[CompanionConnection] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()
        for connection in self._busy:
            connection.abort()
        # The event loop closes what was aborted in its next round.
        await asyncio.sleep(0)

    async def take(self, address: Address) -> CompanionConnection:
        """A connection for one exchange; `give_back` must follow. Raises `OSError`, `TimeoutError`."""
        connection = self._take() or await self._connect(address)
        self._busy.add(connection)
        return connection

    def give_back(self, connection: CompanionConnection) -> None:
        """The exchange has ended."""
        self._busy.discard(connection)
        if connection in self._left:
            self._left.discard(connection)
            connection.abort()
        elif connection.is_open:
            self._idle.append((connection, self._clock()))

    def leave(self) -> None:
        """Start later exchanges on new connections. Exchanges under way keep theirs."""
        for connection, _ in self._idle:
            connection.abort()
        self._idle.clear()
        self._left |= self._busy

    def _take(self) -> CompanionConnection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_open and self._clock() - since < _IDLE_S:
                return connection
            connection.abort()
        return None
