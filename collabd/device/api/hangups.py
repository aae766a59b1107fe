"""Notices callers that hang up while the daemon does not read from them.

While a caller waits at the door, the daemon has paused reading its body. An event loop that does not read from a
connection does not notice that the connection has ended.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager


class Hangups:
    """Aborts the connections of callers that have hung up."""

    def __init__(self) -> None:
        self._watched: dict[int, asyncio.WriteTransport] = {}
        self._epoll = select.epoll()
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()

    @contextmanager
    def watched(self, transport: asyncio.WriteTransport | None) -> Iterator[None]:
        """Inside this context, abort the connection as soon as its peer hangs up."""
        connection = None if transport is None else transport.get_extra_info("socket")
        if transport is None or connection is None:
            yield
            return
        # Duplicate the descriptor: the event loop may close its own, and the number may then name another connection.
        descriptor = os.dup(connection.fileno())
        self._watched[descriptor] = transport
        try:
            self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)
            yield
        finally:
            del self._watched[descriptor]
            if not self._epoll.closed:
                self._epoll.unregister(descriptor)
            os.close(descriptor)

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            if descriptor in self._watched:
                self._watched[descriptor].abort()
