"""Exchanges with a companion over HTTP: checked replies, and what each says of the link."""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import Mapping
from functools import partial

import aiohttp
from aiohttp import hdrs

from collab_sdk import wire
from collabd.clock import MONOTONIC, Clock
from collabd.device.companions.connections import Connections
from collabd.device.companions.exchange import SLACK_BYTES, CompanionReply
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.http.aiohttp_privates import ConnectedResponse
from collabd.http.checksums import checksum
from collabd.sensing.link.round_trip import Socket, round_trip_s

_ONE_GO = 2**20
# These errors mean that the companion closed the kept-alive connection, perhaps before it read the request.
_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError, aiohttp.ClientOSError)
# These errors mean that no process listens at the address.
_DEAD = frozenset({errno.ECONNREFUSED})
_OK = range(200, 300)


class Response(ConnectedResponse):
    """A response that can still show the socket of its connection, and close the connection, after it was read."""

    @property
    def socket(self) -> Socket | None:
        """The socket of the connection; None if the connection is closed."""
        # A closed TLS transport raises when it is asked for its socket.
        if self.held_transport is None or self.held_transport.is_closing():
            return None
        found: Socket | None = self.held_transport.get_extra_info("socket")
        return found

    def hang_up(self) -> None:
        """Close the connection. If the next exchange uses it already, it is repeated on a new connection."""
        if self.held_transport is not None and not self.held_transport.is_closing():
            self.held_transport.abort()


class HttpExchange:
    """Asks the companion `name` at `url` over HTTP."""

    def __init__(self, name: str, url: str, connections: Connections, *, clock: Clock = MONOTONIC) -> None:
        self._name = name
        self._base = url.rstrip("/")
        self._connections = connections
        self._clock = clock

    def leave(self) -> None:
        """Make later exchanges on new connections. Exchanges under way keep theirs."""
        self._connections.leave()

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        most_bytes: int = SLACK_BYTES,
    ) -> CompanionReply:
        """Make one HTTP exchange. The body of the reply may have at most `most_bytes` bytes.

        Raises `CompanionFailure` if the companion is not reached, if the request or the reply was damaged on the way,
        or if the reply is too large.
        """
        sent = await checksum(data)
        ask = partial(self._once, method, path, data=data, headers=headers, most_bytes=most_bytes, sent=sent)
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await ask()
                except _STALE as error:
                    if isinstance(error, aiohttp.ClientConnectorError):
                        raise
                    # Every request to a companion may be repeated: none changes anything when it arrives twice.
                    self._connections.leave()
                    return await ask()
        except TimeoutError as error:
            self._connections.leave()
            raise CompanionFailure(FailureReason.LATE, f"{self._name} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            dead = isinstance(error, aiohttp.ClientConnectorError) and error.errno in _DEAD
            reason = FailureReason.DEAD if dead else FailureReason.UNREACHABLE
            raise CompanionFailure(reason, f"{self._name} at {self._base}: {_said(error)}") from error

    async def _once(
        self, method: str, path: str, *, data: bytes, headers: Mapping[str, str] | None, most_bytes: int, sent: str
    ) -> CompanionReply:
        # aiohttp writes a bytes object in one step. For a package or a large image that would block the event loop.
        body = io.BytesIO(data) if len(data) > _ONE_GO else data
        # Without compression, the size limit and the checksum apply to exactly the bytes that arrive.
        headers = {hdrs.ACCEPT_ENCODING: "identity"} | dict(headers or {})
        start = self._clock()
        async with (
            self._connections.session() as session,
            session.request(
                method,
                self._base + path,
                data=body if method != hdrs.METH_GET else None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(sock_connect=session.timeout.sock_connect),
                allow_redirects=False,
                auto_decompress=False,
            ) as reply,
        ):
            assert isinstance(reply, Response), "the session is made so"  # noqa: S101
            try:
                answer = await self._read(reply, most_bytes)
                seconds = self._clock() - start
                await self._check(reply, answer, sent)
            except CompanionFailure:
                # Left-over bytes on this connection could be taken for the reply to the next request.
                reply.hang_up()
                raise
            if wire.REQUEST_CHECKSUM not in reply.headers:
                reply.hang_up()  # the companion refused without reading, so stop sending
            round_trip = round_trip_s(reply.socket)
            return CompanionReply(
                status=reply.status,
                headers=reply.headers,
                body=answer,
                seconds=seconds,
                receive_s=_receive_s(reply.headers, seconds),
                round_trip_s=round_trip,
            )

    async def _read(self, reply: Response, most_bytes: int) -> bytes:
        answer = bytearray()
        too_large = CompanionFailure(FailureReason.NONSENSE, f"{self._name} sent more than {most_bytes} bytes")
        if (reply.content_length or 0) > most_bytes:
            raise too_large
        while chunk := await reply.content.readany():
            answer += chunk
            if len(answer) > most_bytes:
                raise too_large
        return bytes(answer)

    async def _check(self, reply: Response, answer: bytes, sent: str) -> None:
        if reply.headers.get(wire.CHECKSUM) != await checksum(answer):
            raise CompanionFailure(FailureReason.CORRUPT, f"the reply of {self._name} was damaged on the link")
        received = reply.headers.get(wire.REQUEST_CHECKSUM)
        refused_unread = received is None and reply.status not in _OK
        if received != sent and not refused_unread:
            raise CompanionFailure(FailureReason.CORRUPT, f"{self._name} received other bytes than the device sent")


def _said(error: Exception) -> str:
    """The error in words. For two errors aiohttp's own text is only the name of an object."""
    match error:
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer came"
        case aiohttp.ClientPayloadError():
            return "the connection was closed in the middle of an answer"
        case _:
            return str(error) or type(error).__name__


def _receive_s(headers: Mapping[str, str], seconds: float) -> float | None:
    """How long the companion says it took to receive the request, in seconds; None if that is missing or impossible.

    A time is impossible if it is negative, or longer than the `seconds` of the whole exchange.
    """
    try:
        receive_s = float(headers[wire.RECEIVE_MS]) / 1e3
    except (KeyError, ValueError):
        return None
    return receive_s if 0 <= receive_s <= seconds else None
