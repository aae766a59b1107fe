"""The bodies of requests: how large they may be, how slowly they may come, and reading them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, RequestTimeout, RequestTooLarge
from collabd.http.aiohttp_privates import end_body

CONTINUE = "100-continue"
# The body of a request, once it has been read.
BODY: web.RequestKey[bytes | bytearray] = web.RequestKey("body")


@dataclass(frozen=True)
class BodyPace:
    """How slowly a body may come: a pause is `stalled_s` at most, the whole `stalled_s` and its bytes at `bytes_per_s`.

    A peer that lost power goes without a word, and one of ill will sends a byte now and then.
    """

    stalled_s: float
    bytes_per_s: float

    def most_s(self, received: int) -> float:
        """The most seconds that a body of `received` bytes may take."""
        return self.stalled_s + received / self.bytes_per_s


# Less than half of 10 kbit/s, which is slow and no fault.
NETWORK = BodyPace(60.0, 500.0)
# For callers on this machine, however busy it is: until its body is read, a call holds bytes of its user's share.
LOCAL = BodyPace(10.0, 2.0**18)


async def when_read(_: web.Request) -> None:
    """The `expect_handler` of every path that reads its body: `read_body` tells the client to send it."""


@web.middleware
async def body_freed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Free the body with the answer: aiohttp keeps a request until the next one on its connection."""
    try:
        return await handler(request)
    finally:
        request.pop(BODY, None)


def check_length(announced: int | None, limit: int) -> None:
    """Raises `RequestTooLarge` if the headers announce more than `limit` bytes."""
    if (announced or 0) > limit:
        raise _too_large(limit)


def largest_body(request: web.Request, limit: int) -> int:
    """The most bytes that the body can have: what the headers say, or `limit` where they do not or it is compressed."""
    if request.content_length is None or hdrs.CONTENT_ENCODING in request.headers:
        return limit
    return request.content_length


async def read_body(request: web.Request, limit: int, pace: BodyPace = NETWORK) -> bytes | bytearray:
    """The request's body, decompressed if it came compressed.

    Raises `RequestTooLarge` as soon as it has more than `limit` bytes, `RequestTimeout` if it comes slower than `pace`.
    """
    check_length(request.content_length, limit)
    _continue(request)
    try:
        # A small body comes with the headers, as one piece.
        body = request.content.read_nowait() if request.content.is_eof() else await _incoming(request, limit, pace)
    except (web.RequestPayloadError, ConnectionError) as error:
        end_body(request)
        raise InvalidRequest(f"the daemon cannot read the body: {error}") from error
    if len(body) > limit:
        raise _too_large(limit)
    request[BODY] = body
    return body


async def _incoming(request: web.Request, limit: int, pace: BodyPace) -> bytearray:
    """A body that is still coming."""
    body = bytearray()
    start = time.monotonic()
    try:
        while chunk := await _next_chunk(request, pace, taken_s=time.monotonic() - start, received=len(body)):
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except TimeoutError:
        raise RequestTimeout(
            f"the body stopped coming, or came too slowly: {len(body)} bytes in {time.monotonic() - start:.0f} s"
        ) from None
    return body


async def timed_body(
    request: web.Request, limit: int, pace: BodyPace = NETWORK
) -> tuple[bytes | bytearray, dict[str, str]]:
    """The body as `read_body` gives it, and a header for the response that says how long the body took to come."""
    start = time.perf_counter()
    body = await read_body(request, limit, pace)
    return body, {wire.RECEIVE_MS: f"{(time.perf_counter() - start) * 1e3:.3f}"}


def _continue(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == CONTINUE and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _next_chunk(request: web.Request, pace: BodyPace, *, taken_s: float, received: int) -> bytes:
    async with asyncio.timeout(min(pace.stalled_s, pace.most_s(received) - taken_s)):
        return await request.content.readany()


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request has more than {limit} bytes, a limit of the configuration: send a picture as its file, or make "
        "it smaller",
        {"limit_bytes": limit},
    )
