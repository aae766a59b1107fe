"""The HTTP front door of both daemons: what a connection may take, in time and memory, around its requests.

aiohttp bounds each line and field and their number, the requests that wait behind one (pipelining), what is read ahead
of a body and how much of a compressed one is unpacked at a time; it refuses requests whose length can be read in two
ways. What it does not bound is bounded here: the time and the bytes until a request's headers are complete, the time
in which a reply is taken, and the number of connections. The time of a body is bounded by `collabd.http.bodies`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from aiohttp import hdrs, web

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, Overloaded
from collabd.http.aiohttp_privates import Answer, HttpRunner, HttpServer, ServedConnection
from collabd.http.bodies import CONTINUE, NETWORK, BodyPace
from collabd.http.error_replies import error_reply
from collabd.http.peers import credentials
from collabd.http.plain import BEGINNING, PlainAnswer, plain_request
from collabd.lifecycle import background

# A request of ours has a head of 300 bytes, one of a browser 2 kB.
_LINE_BYTES = 4096
# What aiohttp bounds by itself.
_SETTINGS: dict[str, Any] = {
    "access_log": None,
    # Longer than clients keep a connection, so that they are the ones to close it.
    "keepalive_timeout": 75.0,
    # Seconds for which the rest of a refused body is read: where it is not, its peer's kernel may drop our reply.
    "lingering_time": 2.0,
    "max_line_size": _LINE_BYTES,
    "max_field_size": _LINE_BYTES,
    "max_headers": 64,
}
_FULL = wire.encode_error(Overloaded("there are too many connections; try again later"))
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"%b: %b\r\nContent-Length: %d\r\n\r\n%b"
    % (wire.CHECKSUM.encode(), wire.checksum(_FULL).encode(), len(_FULL), _FULL)
)


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What connections may take.

    `connections`: how many stay open; half of them for one peer. `head_s` and `head_bytes`: until a request's headers
    are complete. `requests_ahead`: how many may come before the answer to the one that is served. `reply_pace`: how
    slowly a peer may take a reply. `look_s`: seconds from one look for peers that are late to the next.
    """

    # Half of the descriptors that a process may have open as a rule.
    connections: int = 512
    head_s: float = 10.0
    head_bytes: int = 32 * 1024
    # Clients of ours send one request after another; some that are made for many send the next ahead.
    requests_ahead: int = 4
    reply_pace: BodyPace = NETWORK
    look_s: float = 1.0


class Connection(ServedConnection):
    """One connection; times are the event loop's."""

    __slots__ = (
        "_answering",
        "_behind",
        "_clock",
        "_gone_by",
        "_head_by",
        "_head_bytes",
        "_limits",
        "_link",
        "_made_by",
        "_sent_by",
        "heard",
        "peer",
    )

    def __init__(self, server: ConnectionServer, limits: ConnectionLimits) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, **_SETTINGS)
        self._clock = loop.time
        self._limits = limits
        self._made_by = server
        # Answers a plain request, and what came behind it meanwhile.
        self._answering: asyncio.Task[None] | None = None
        self._behind = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on the peer has its time to send a request."""
        # It has the methods of one; the transports of uvloop do not inherit from asyncio's class.
        self._link = cast("asyncio.Transport", transport)
        self.peer = _peer(transport)
        self.heard = self._clock()
        self._head_by: float | None = self.heard + self._limits.head_s
        self._head_bytes = 0
        self._sent_by: float | None = None
        self._gone_by: float | None = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """What comes between requests is the head of the next, which has its time and its size to be complete."""
        self.heard = self._clock()
        if self._answering is not None:
            # It has its turn afterwards. Reading goes on then, so that no peer fills the memory.
            self._behind += data
            self._link.pause_reading()
            return
        between = self.waits_for_request
        if between and not self._head_bytes and self._is_plain(data):
            return
        super().data_received(data)
        if between and self.waits_for_request:
            self._head_by = self._head_by or self.heard + self._limits.head_s
            self._head_bytes += len(data)
        else:
            self._head_by, self._head_bytes = None, 0
        if self._head_bytes > self._limits.head_bytes or self.requests_ahead > self._limits.requests_ahead:
            self.abort()

    def _is_plain(self, data: bytes) -> bool:
        """Whether `data` is a plain request, which is then answered."""
        answer = self._made_by.plain_answer
        # Who does not take replies is left to aiohttp, which waits until they are taken.
        if answer is None or self._sent_by is not None or self.closes or not data.startswith(BEGINNING):
            return False
        if self._made_by.parting:
            return False
        request = plain_request(data, self._link, self.peer)
        if request is None:
            return False
        self._head_by = None
        self._answering = asyncio.create_task(self._answered(answer(request, self._made_by.date)))
        return True

    async def _answered(self, reply: Awaitable[bytes]) -> None:
        try:
            self._link.write(await reply)
        finally:
            self._answering = None
            self.wait_anew()
        if self._behind:
            behind, self._behind = self._behind, b""
            self._link.resume_reading()
            self.data_received(behind)

    @property
    def is_answered_elsewhere(self) -> bool:
        """Whether a plain request is answered now."""
        return self._answering is not None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The peer is gone, and so needs no answer."""
        if self._answering is not None:
            self._answering.cancel()
        super().connection_lost(exc)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  the signature is aiohttp's
        """Answer what is under way, for so many seconds, and close."""
        if self._answering is not None:
            await asyncio.wait({self._answering}, timeout=timeout)
        await super().shutdown(timeout)

    def pause_writing(self) -> None:
        """The peer does not take the reply as fast as it is written: from now on it has its time to do so."""
        super().pause_writing()
        self._sent_by = self._clock() + self._to_send_s()

    def resume_writing(self) -> None:
        """The peer took it."""
        self._sent_by = None
        super().resume_writing()

    def handle_error(  # noqa: PLR0917  the signature is aiohttp's
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP without logging it: otherwise anybody could fill the journal."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        reply = error_reply(InvalidRequest(f"this is not an HTTP request: {(message or '')[:200]}"))
        reply.force_close()
        return reply

    @property
    def unproven(self) -> bool:
        """Whether it has sent no request yet, or is in the middle of sending the next one's head."""
        return self._head_by is not None

    @property
    def closes(self) -> bool:
        """Whether it is closed; the server hears of it a turn of the loop later."""
        return self._link.is_closing()

    def overdue(self, now: float) -> bool:
        """Whether its peer has used up its time."""
        if self._gone_by is None and self.closes:
            self._gone_by = now + self._to_send_s()
        return any(by is not None and now > by for by in (self._head_by, self._sent_by, self._gone_by))

    def turn_away(self) -> None:
        """Say that there are too many connections, and close this one."""
        self._link.write(_TURNED_AWAY)
        self.force_close()

    def abort(self) -> None:
        """Close it now, even if not all was sent."""
        self.force_close()
        self._link.abort()

    def _to_send_s(self) -> float:
        return self._limits.reply_pace.most_s(self._link.get_write_buffer_size())


class ConnectionServer(HttpServer):
    """Makes the connections, and knows them. Where more are open than `limits` says, the idlest makes room."""

    def __init__(
        self, answer: Answer, inside: web.Server, *, limits: ConnectionLimits, plain_answer: PlainAnswer | None
    ) -> None:
        super().__init__(self._closing_if_parting(answer), inside)
        self._limits = limits
        self.plain_answer = plain_answer
        # True once the daemon is about to stop: each reply then ends its connection, so that its peer connects anew,
        # through a balancer to another daemon.
        self.parting = False
        # Made anew with every look at the connections, and not for every reply.
        self.date = formatdate(usegmt=True)

    def new_connection(self) -> Connection:
        """The protocol of the next connection."""
        return Connection(self, self._limits)

    def connected(self, connection: web.RequestHandler) -> None:
        """Take the connection in; where too many are open, close an idle one for it, or turn it away."""
        assert isinstance(connection, Connection)  # noqa: S101  `new_connection` makes no others
        others = [other for other in self._ours() if other is not connection and not other.closes]
        peers = Counter(other.peer for other in others)
        if peers[connection.peer] >= self._limits.connections // 2:
            others = [other for other in others if other.peer == connection.peer]
        elif len(others) < self._limits.connections:
            return
        # The task of a new connection begins to wait a turn of the loop later; many may come in one turn.
        idle = [other for other in others if other.waits_for_request or other.unproven]
        if idle:
            max(idle, key=lambda other: (peers[other.peer], other.unproven, -other.heard)).abort()
        else:
            connection.turn_away()

    async def watch(self) -> None:
        """Close the connections whose peers have used up their time, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._limits.look_s)
            now, self.date = clock(), formatdate(usegmt=True)
            for connection in self._ours():
                if connection.overdue(now):
                    connection.abort()

    def _closing_if_parting(self, answer: Answer) -> Answer:
        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            reply = await answer(request)
            if self.parting:
                reply.force_close()
            return reply

        return answered

    def _ours(self) -> list[Connection]:
        return [connection for connection in self.connections if isinstance(connection, Connection)]


@asynccontextmanager
async def http_runner(
    app: web.Application,
    drain_s: float,
    *,
    guard: Callable[[Answer], Answer] = lambda answer: answer,
    plain_answer: PlainAnswer | None = None,
    limits: ConnectionLimits = ConnectionLimits(),
) -> AsyncIterator[web.AppRunner]:
    """The paths of `app`, for any listener; leaving the context finishes requests in progress, up to `drain_s` seconds.

    `guard` makes of the application's answers those that are given, before the application sees a request. Plain
    requests go to `plain_answer`, and past the guard.
    """

    def served(answer: Answer, inside: web.Server) -> ConnectionServer:
        return ConnectionServer(guard(_expectations_checked(answer)), inside, limits=limits, plain_answer=plain_answer)

    runner = HttpRunner(app, served, shutdown_timeout=drain_s)
    await runner.setup()
    assert isinstance(runner.server, ConnectionServer)  # noqa: S101  `served` makes no other
    try:
        async with background("the watch over connections", runner.server.watch):
            yield runner
    finally:
        await runner.cleanup()


def _expectations_checked(answer: Answer) -> Answer:
    """aiohttp answers an unknown `Expect:` with its text, and fails where that is no text."""

    async def checked(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.EXPECT, CONTINUE).lower() == CONTINUE:
            return await answer(request)
        reply = error_reply(InvalidRequest(f"this daemon meets only the expectation {CONTINUE}"))
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
