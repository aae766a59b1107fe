"""Notices callers that hang up while nothing is read from them.

A caller that waits at the door has its body half sent, and reading it is paused; an event loop that does not read does
not see the end either.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager


class Hangups:
    """Aborts the connections of those that hung up."""

    def __init__(self) -> None:
        self._watched: dict[int, asyncio.WriteTransport] = {}
        self._epoll = select.epoll()
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Watch no more."""
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()

    @contextmanager
    def watched(self, transport: asyncio.WriteTransport | None) -> Iterator[None]:
        """While it is in this context the connection is aborted as soon as its peer hangs up."""
        connection = None if transport is None else transport.get_extra_info("socket")
        if transport is None or connection is None:
            yield
            return
        # A descriptor of our own: the event loop's may be closed, and belong to another connection, before we are done.
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
