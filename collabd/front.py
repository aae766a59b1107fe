"""The HTTP front door of both daemons: what a connection may take, in time and memory, around its requests.

aiohttp bounds each line and field and their number, the requests that wait behind one (pipelining), what is read ahead
of a body and how much of a compressed one is unpacked at a time; it refuses requests whose length can be read in two
ways. What it does not bound is bounded here: the time and the bytes until a request's headers are complete, the time
in which a reply is taken, and the number of connections. The time of a body is `collabd.oip.Pace`'s.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

from aiohttp import hdrs, web

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, Overloaded
from collabd import oip
from collabd.credentials import credentials
from collabd.lifecycle import background

# Half of the descriptors that a process has as a rule. One peer gets half of it.
CONNECTIONS = 512
# A request's line and headers: ours have 300 bytes, a browser's 2 kB.
HEAD_S = 10.0
_HEAD_BYTES = 32 * 1024
_LINE_BYTES = 4096
_HEADERS = 64
# Clients of ours send one request after another; some that are made for many send the next ahead.
_PIPELINED = 4
# Longer than clients keep theirs, so that they are the ones to close them.
_KEEPALIVE_S = 75.0
# What is left of a refused body is read on for so long, lest its peer's kernel drop our reply.
_LINGER_S = 2.0
_LOOK_S = 1.0
_FULL = wire.encode_error(Overloaded("there are too many connections; try again later"))
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"%b: %b\r\nContent-Length: %d\r\n\r\n%b"
    % (wire.CHECKSUM.encode(), wire.checksum(_FULL).encode(), len(_FULL), _FULL)
)

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection; times are the event loop's."""

    __slots__ = ("_gone_by", "_head_by", "_head_bytes", "_link", "_sent_by", "heard", "peer")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first request must not be long in coming."""
        # It is none but of a stream; uvloop's are no subclass.
        self._link = cast("asyncio.Transport", transport)
        self.peer = _peer(transport)
        self.heard = self._loop.time()
        self._head_by: float | None = self.heard + HEAD_S
        self._head_bytes = 0
        self._sent_by: float | None = None
        self._gone_by: float | None = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Between requests what comes is the head of the next, which must be complete in its time and size."""
        self.heard = self._loop.time()
        between = self.idle
        super().data_received(data)
        if between and self.idle:
            self._head_by = self._head_by or self.heard + HEAD_S
            self._head_bytes += len(data)
        else:
            self._head_by, self._head_bytes = None, 0
        if self._head_bytes > _HEAD_BYTES or len(self._messages) > _PIPELINED:
            self.abort()

    def pause_writing(self) -> None:
        """The peer has to take the reply faster than a slow link would."""
        super().pause_writing()
        self._sent_by = self._loop.time() + self._to_send_s()

    def resume_writing(self) -> None:
        """It did."""
        self._sent_by = None
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered and not logged: anybody could fill the journal with it."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        reply = oip.error_reply(InvalidRequest(f"this is not an HTTP request: {(message or '')[:200]}"))
        reply.force_close()
        return reply

    @property
    def idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def unproven(self) -> bool:
        """Whether no request came from it, or the next one's head is late in coming."""
        return self._head_by is not None

    def overdue(self, now: float) -> bool:
        """Whether its peer has had its time."""
        if self._gone_by is None and self._link.is_closing():
            self._gone_by = now + self._to_send_s()
        return any(by is not None and now > by for by in (self._head_by, self._sent_by, self._gone_by))

    def turn_away(self) -> None:
        """Say that there is no room, and close."""
        self._link.write(_TURNED_AWAY)
        self.force_close()

    def abort(self) -> None:
        """Close it now, whatever is unsent."""
        self.force_close()
        self._link.abort()

    def _to_send_s(self) -> float:
        return oip.NETWORK.most_s(self._link.get_write_buffer_size())


class Server(web.Server):
    """Makes the connections, and knows them. At most `CONNECTIONS` stay open: then the idlest makes room."""

    def __call__(self) -> Connection:
        """A new connection's protocol."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take it in, or turn it away where nobody makes room."""
        super().connection_made(handler, transport)
        assert isinstance(handler, Connection)  # noqa: S101  `__call__` makes no others
        others = [other for other in self._connections if isinstance(other, Connection) and other is not handler]
        peers = Counter(other.peer for other in others)
        if peers[handler.peer] >= CONNECTIONS // 2:
            others = [other for other in others if other.peer == handler.peer]
        elif len(others) < CONNECTIONS:
            return
        idle = [other for other in others if other.idle]
        if idle:
            max(idle, key=lambda other: (peers[other.peer], other.unproven, -other.heard)).abort()
        else:
            handler.turn_away()

    async def watch(self) -> None:
        """Close the connections whose peers have had their time, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = self._loop.time()
            for connection in self.connections:
                if isinstance(connection, Connection) and connection.overdue(now):
                    connection.abort()


class _Runner(web.AppRunner):
    async def _make_server(self) -> Server:
        made = await super()._make_server()
        # A device or caller that has its answer from elsewhere hangs up; its request is then dropped.
        return Server(
            _met(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=True,
            **self._limits(),
        )

    @staticmethod
    def _limits() -> dict[str, Any]:
        return {
            "access_log": None,
            "keepalive_timeout": _KEEPALIVE_S,
            "lingering_time": _LINGER_S,
            "max_line_size": _LINE_BYTES,
            "max_field_size": _LINE_BYTES,
            "max_headers": _HEADERS,
        }


@asynccontextmanager
async def front(app: web.Application, drain_s: float) -> AsyncIterator[web.AppRunner]:
    """The paths of `app`, for any listener; leaving the context finishes requests in progress, up to `drain_s`."""
    runner = _Runner(app, shutdown_timeout=drain_s)
    await runner.setup()
    assert isinstance(runner.server, Server)  # noqa: S101  `_make_server` makes no other
    try:
        async with background("the watch over connections", runner.server.watch):
            yield runner
    finally:
        await runner.cleanup()


def _met(handler: _Handler) -> _Handler:
    """aiohttp answers an unknown expectation with its text, and fails where that is no text."""

    async def checked(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.EXPECT, oip.CONTINUE).lower() == oip.CONTINUE:
            return await handler(request)
        reply = oip.error_reply(InvalidRequest(f"this daemon meets only the expectation {oip.CONTINUE}"))
        reply.set_status(HTTPStatus.EXPECTATION_FAILED)
        reply.force_close()
        return reply

    return checked


def _peer(transport: asyncio.BaseTransport) -> Hashable:
    """A network address, or a user of this machine."""
    local = credentials(transport)
    if local is not None:
        return local.uid
    name = transport.get_extra_info("peername")
    return name[0] if isinstance(name, tuple) else None
