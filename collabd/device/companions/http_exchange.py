"""Exchanges with a companion over HTTP: checked replies, and what each says of the link."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from collab_sdk import wire
from collabd.clock import MONOTONIC, Clock
from collabd.device.companions.connections import Connections
from collabd.device.companions.exchange import SLACK_BYTES, Chunks, CompanionReply, Sent
from collabd.device.companions.failures import CompanionFailure, FailureReason, refusal_on_the_way
from collabd.device.companions.patience import Patience
from collabd.device.companions.place import CompanionPlace
from collabd.http.checksums import checksum
from collabd.http.replies import BrokenReply, HttpReply, NoReply, ReplyTooLarge
from collabd.sensing.link.round_trip import round_trip_s

_OK = range(200, 300)
# What stays as it is in a path (RFC 3986).
_PLAIN = "/:@!$&'()*+,;=~"


class HttpExchange:
    """Asks the companion `name` at `url` over HTTP. Each request has `headers`."""

    def __init__(
        self,
        name: str,
        url: str,
        connections: Connections,
        *,
        headers: Mapping[str, str] | None = None,
        clock: Clock = MONOTONIC,
    ) -> None:
        self._name = name
        self.place = CompanionPlace(url)
        # Without compression, the size limit and the checksum apply to exactly the bytes that arrive.
        always = {"Host": urlsplit(url).netloc, "Accept-Encoding": "identity"} | dict(headers or {})
        self._headers = _lines(always)
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
        data: Chunks = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        most_bytes: int = SLACK_BYTES,
        sent: Sent | None = None,
    ) -> CompanionReply:
        """Make one HTTP exchange. The body of the reply may have at most `most_bytes` bytes.

        Raises `CompanionFailure` if the companion is not reached, if the request or the reply was damaged on the way,
        or if the reply is too large.
        """
        summed = await checksum(*data)
        length = {"Content-Length": str(sum(len(chunk) for chunk in data))} if method != "GET" else {}
        fields = self._headers + _lines({**(headers or {}), **length})
        head = f"{method} {quote(path, safe=_PLAIN)} HTTP/1.1\r\n{fields}\r\n".encode()
        try:
            if timeout_s is None:
                return await self._at_most_twice(head, data, most_bytes=most_bytes, summed=summed, sent=sent)
            async with Patience(timeout_s):
                return await self._at_most_twice(head, data, most_bytes=most_bytes, summed=summed, sent=sent)
        except TimeoutError as error:
            self._connections.leave()
            raise CompanionFailure(FailureReason.LATE, f"{self._name} did not answer in time") from error
        except ReplyTooLarge as error:
            raise CompanionFailure(FailureReason.NONSENSE, f"{self._name} sent more than {most_bytes} bytes") from error
        except (BrokenReply, OSError) as error:
            # Only who connects is refused: no process listens at the address.
            reason = FailureReason.DEAD if isinstance(error, ConnectionRefusedError) else FailureReason.UNREACHABLE
            what = str(error) or type(error).__name__
            raise CompanionFailure(reason, f"{self._name} at {self.place.url}: {what}") from error

    async def _at_most_twice(
        self, head: bytes, data: Chunks, *, most_bytes: int, summed: str, sent: Sent | None
    ) -> CompanionReply:
        try:
            return await self._once(head, data, most_bytes=most_bytes, summed=summed, sent=sent)
        except NoReply:
            # The companion closed the connection, perhaps before it read the request. Every request to a companion may
            # be repeated: none changes anything when it arrives twice.
            self._connections.leave()
            return await self._once(head, data, most_bytes=most_bytes, summed=summed, sent=sent)

    async def _once(
        self, head: bytes, data: Chunks, *, most_bytes: int, summed: str, sent: Sent | None
    ) -> CompanionReply:
        start = self._clock()
        connection = await self._connections.take(self.place.now)
        try:
            reply = await connection.ask(head, data, most_bytes, sent=sent)
            seconds = self._clock() - start
            try:
                await self._check(reply, summed)
            except CompanionFailure:
                # Left-over bytes on this connection could be taken for the reply to the next request.
                connection.abort()
                raise
            return CompanionReply(
                status=reply.status,
                headers=reply.headers,
                body=reply.body,
                seconds=seconds,
                receive_s=_receive_s(reply.headers, seconds),
                round_trip_s=round_trip_s(connection.socket if connection.is_open else None),
            )
        finally:
            self._connections.give_back(connection)

    async def _check(self, reply: HttpReply, summed: str) -> None:
        if reply.status > HTTPStatus.BAD_REQUEST and wire.CHECKSUM not in reply.headers:
            # Each reply of a companion has its checksum, but for the 400 to what had become no HTTP on the way.
            raise refusal_on_the_way(self._name, reply.status, reply.headers)
        if reply.headers.get(wire.CHECKSUM) != await checksum(reply.body):
            raise CompanionFailure(FailureReason.CORRUPT, f"the reply of {self._name} was damaged on the link")
        received = reply.headers.get(wire.REQUEST_CHECKSUM)
        refused_unread = received is None and reply.status not in _OK
        if received != summed and not refused_unread:
            raise CompanionFailure(FailureReason.CORRUPT, f"{self._name} received other bytes than the device sent")


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _receive_s(headers: Mapping[str, str], seconds: float) -> float | None:
    """How long the companion says it took to receive the request, in seconds; None if that is missing or impossible.

    A time is impossible if it is negative, or longer than the `seconds` of the whole exchange.
    """
    try:
        receive_s = float(headers[wire.RECEIVE_MS]) / 1e3
    except (KeyError, ValueError):
        return None
    return receive_s if 0 <= receive_s <= seconds else None
