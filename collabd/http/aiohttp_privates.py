"""All that collabd knows of aiohttp's inside: the names that aiohttp's documentation does not promise.

A new version of aiohttp may change any of them. Then `tests/unit/http/test_aiohttp_privates.py` fails and says which;
pyproject.toml keeps aiohttp below the first version that nobody has tried. The same test sees to it that no other
module of collabd uses such names.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

# What answers a request of a server.
Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ServedConnection(web.RequestHandler):
    """A connection that says what it does; asyncio calls its methods as those of any `asyncio.Protocol`."""

    __slots__ = ()

    @property
    def waits_for_request(self) -> bool:
        """Whether it serves nothing now, and has no request that came in whole."""
        return self._waiter is not None and not self._waiter.done() and not self.is_answered_elsewhere

    @property
    def is_answered_elsewhere(self) -> bool:
        """Whether a request of this connection is answered without aiohttp now."""
        return False

    def _process_keepalive(self) -> None:
        """The time for the next request is over; it has not begun while one is answered elsewhere."""
        if self.is_answered_elsewhere:
            self.wait_anew()
        super()._process_keepalive()

    def wait_anew(self) -> None:
        """From now on the peer has its time to send the next request."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    @property
    def requests_ahead(self) -> int:
        """How many requests came in whole and wait to be served."""
        return len(self._messages)


class HttpServer(web.Server, ABC):
    """A server whose connections are of a class of ours; subclasses say of which, and hear of each."""

    def __init__(self, answer: Answer, inside: web.Server) -> None:
        """`answer` gets the requests of the application that is served by `inside`."""
        # A device or caller that has its answer from elsewhere hangs up; its request is then dropped.
        super().__init__(answer, request_factory=inside.request_factory, handler_cancellation=True)

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        return self.new_connection()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Called by `handler` once it has its transport."""
        super().connection_made(handler, transport)
        self.connected(handler)

    @abstractmethod
    def new_connection(self) -> web.RequestHandler:
        """The protocol of the next connection."""

    @abstractmethod
    def connected(self, connection: web.RequestHandler) -> None:
        """The connection is now among `connections`."""


class HttpRunner(web.AppRunner):
    """Serves `app` by what `wrap` makes of its answers and of aiohttp's own server, which itself serves nothing."""

    def __init__(
        self, app: web.Application, wrap: Callable[[Answer, web.Server], web.Server], *, shutdown_timeout: float
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._wrap = wrap

    async def _make_server(self) -> web.Server:
        inside = await super()._make_server()
        return self._wrap(inside.request_handler, inside)


def end_body(request: web.BaseRequest) -> None:
    """Take the body of `request` for ended, after it could not be read.

    Otherwise aiohttp reads on behind our reply, meets the same error again and logs it as a defect of ours.
    """
    request.content.feed_eof()
