"""The Open Inference Protocol v2 over HTTP, in front of whatever can answer: the adapter that both daemons share.

Every failure leaves as the wire form of an error: its HTTP status and ``{"error": ..., "code": ..., "details": ...}``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collab_sdk.errors import (
    CollabError,
    DaemonFault,
    InvalidRequest,
    InvalidTensor,
    NotReady,
    Overloaded,
    RequestTimeout,
    RequestTooLarge,
    UnknownModel,
)
from collab_sdk.result import MODEL_VERSION
from collab_sdk.text import plain
from collabd.codec import CodecError

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 1
CONTINUE = "100-continue"
# Decoded within some 10 ms.
_QUICK_JSON_BYTES = 2**18
# The body of a request, once it has been read.
BODY = web.RequestKey("body", bytearray)

Infer: TypeAlias = Callable[[str, wire.InferRequest], Awaitable[wire.InferResponse]]
# Lets an inference request in when its turn comes, its body not yet read, and gives what to ask; raises `CollabError`.
Door: TypeAlias = Callable[[web.Request], AbstractAsyncContextManager[Infer]]


@dataclass(frozen=True)
class Pace:
    """How slowly a body may come: a pause is `stalled_s` at most, the whole `stalled_s` and its bytes at `bytes_per_s`.

    A peer that lost power goes without a word, and one of ill will sends a byte now and then.
    """

    stalled_s: float
    bytes_per_s: float

    def most_s(self, received: int) -> float:
        """How long a body of so many bytes may take."""
        return self.stalled_s + received / self.bytes_per_s


# Less than half of 10 kbit/s, which is slow and no fault.
NETWORK = Pace(60.0, 500.0)
# From the same machine, however busy; meanwhile it holds bytes of its user's share.
LOCAL = Pace(10.0, 2.0**18)


class DataPlane(Protocol):
    """What can answer, whatever the protocol in front of it. Methods raise `CollabError`."""

    def ready(self) -> bool:
        """Whether requests are served now."""

    def server_metadata(self) -> dict[str, Any]:
        """``name``, ``version`` and ``extensions``."""

    def models(self) -> list[str]:
        """Names of the loaded models."""

    def model_ready(self, name: str) -> bool:
        """Whether the model serves now. Raises `UnknownModel`."""

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The model's ``inputs`` and ``outputs`` in the protocol's terms. Raises `UnknownModel`."""

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer an inference request."""


def routes(
    plane: DataPlane, max_request_bytes: int, door: Door | None = None, pace: Pace = NETWORK
) -> list[web.RouteDef]:
    """The protocol's paths; a request's body may have `max_request_bytes`. Without a `door` all are let in at once."""
    handlers = _Handlers(plane, max_request_bytes, door or (lambda _: nullcontext(plane.infer)), pace)
    defined = [
        web.get("/v2", handlers.server),
        web.get("/v2/health/live", handlers.live),
        web.get("/v2/health/ready", handlers.ready),
        web.get("/v2/repository/index", handlers.index),
        web.post("/v2/repository/index", handlers.index),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        defined += [
            web.get(model, handlers.model),
            web.get(f"{model}/ready", handlers.model_ready),
            web.post(f"{model}/infer", handlers.infer, expect_handler=when_read),
        ]
    return defined


async def when_read(_: web.Request) -> None:
    """The `expect_handler` of paths that tell a client which asks first to send its body no earlier than it is read."""


def check_length(request: web.Request, limit: int) -> None:
    """Raises `RequestTooLarge` if the body says so itself."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)


def largest_body(request: web.Request, limit: int) -> int:
    """What its body may come to: as long as it says, or the limit where it does not say, or is compressed."""
    if request.content_length is None or hdrs.CONTENT_ENCODING in request.headers:
        return limit
    return request.content_length


async def read_body(request: web.Request, limit: int, pace: Pace = NETWORK) -> bytearray:
    """The request's body, unpacked if it came compressed.

    Raises `RequestTooLarge` as soon as it passes `limit`, `RequestTimeout` if it comes slower than `pace`.
    """
    check_length(request, limit)
    await _continue(request)
    body = bytearray()
    start = time.monotonic()
    try:
        while chunk := await _next_chunk(request, pace, time.monotonic() - start, len(body)):
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except TimeoutError:
        raise RequestTimeout(
            f"the body stopped coming, or came too slowly: {len(body)} bytes in {time.monotonic() - start:.0f} s"
        ) from None
    except (web.RequestPayloadError, ConnectionError) as error:
        # Else aiohttp reads on behind our reply, meets the same error and logs it as a defect.
        request.content.feed_eof()
        raise InvalidRequest(f"the daemon cannot read the body: {error}") from error
    request[BODY] = body
    return body


async def timed_body(request: web.Request, limit: int, pace: Pace = NETWORK) -> tuple[bytearray, dict[str, str]]:
    """The body as `read_body` does, and the response's header that says how long it took to come."""
    start = time.perf_counter()
    body = await read_body(request, limit, pace)
    return body, {wire.RECEIVE_MS: f"{(time.perf_counter() - start) * 1e3:.3f}"}


def error_reply(error: CollabError) -> web.Response:
    """The wire form of an error."""
    headers = {hdrs.RETRY_AFTER: str(_RETRY_AFTER_S)} if isinstance(error, Overloaded | NotReady) else None
    body = wire.encode_error(error)
    return web.Response(body=body, status=error.http_status, content_type="application/json", headers=headers)


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into the wire form. What is nobody's mistake but ours is logged in full."""
    try:
        return await handler(request)
    except CollabError as error:
        if isinstance(error, DaemonFault):
            log.exception("%s %s failed", request.method, plain(request.path))
        reply = error_reply(error)
    except CodecError as error:
        reply = error_reply(InvalidTensor(str(error)))
    except wire.WireError as error:
        reply = error_reply(InvalidRequest(str(error)))
    except web.HTTPException as error:
        reply = _http_reply(request, error)
    except Exception:
        log.exception("%s %s failed", request.method, plain(request.path))
        reply = error_reply(DaemonFault("the daemon failed at this request; its journal says why"))
    # What follows a body that could not be read, or that need not be sent, is not the next request.
    if request.content.exception() is not None or (hdrs.EXPECT in request.headers and BODY not in request):
        reply.force_close()
    return reply


class _Handlers:
    """One method a path."""

    def __init__(self, plane: DataPlane, max_request_bytes: int, door: Door, pace: Pace) -> None:
        self._plane = plane
        self._max_request_bytes = max_request_bytes
        self._door = door
        self._pace = pace
        self._long_json = ThreadPoolExecutor(1, thread_name_prefix="json")

    async def server(self, _: web.Request) -> web.Response:
        return web.json_response(self._plane.server_metadata())

    async def live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(self, _: web.Request) -> web.Response:
        ready = self._plane.ready()
        return web.json_response({"ready": ready}, status=200 if ready else NotReady.http_status)

    async def index(self, _: web.Request) -> web.Response:
        entries = [
            {
                "name": name,
                "version": MODEL_VERSION,
                "state": "READY" if self._plane.model_ready(name) else "UNAVAILABLE",
                "reason": "",
            }
            for name in self._plane.models()
        ]
        return web.json_response(entries)

    async def model(self, request: web.Request) -> web.Response:
        name = _model_name(request)
        return web.json_response({"name": name, "versions": [MODEL_VERSION]} | self._plane.model_metadata(name))

    async def model_ready(self, request: web.Request) -> web.Response:
        name = _model_name(request)
        ready = self._plane.model_ready(name)
        return web.json_response({"name": name, "ready": ready}, status=200 if ready else NotReady.http_status)

    async def infer(self, request: web.Request) -> web.Response:
        name = _model_name(request)
        check_length(request, self._max_request_bytes)
        async with self._door(request) as infer:
            body, received = await timed_body(request, self._max_request_bytes, self._pace)
            asked = await self._decoded(body, wire.header_length(request.headers))
            answer = await infer(name, asked)
            message = wire.encode_response(answer, asked.wants_binary)
        return web.Response(body=message.body(), headers=message.headers | received)

    async def _decoded(self, body: bytearray, header_length: int | None) -> wire.InferRequest:
        """JSON of some MB takes seconds, one after the other, while all else goes on."""
        if (len(body) if header_length is None else header_length) <= _QUICK_JSON_BYTES:
            return wire.decode_request(body, header_length)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._long_json, wire.decode_request, body, header_length)


async def _continue(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == CONTINUE and request.writer.output_size == 0:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _next_chunk(request: web.Request, pace: Pace, taken_s: float, received: int) -> bytes:
    async with asyncio.timeout(min(pace.stalled_s, pace.most_s(received) - taken_s)):
        return await request.content.readany()


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the request has more than {limit} bytes", {"limit_bytes": limit})


def _model_name(request: web.Request) -> str:
    name = request.match_info["name"]
    version = request.match_info.get("version", MODEL_VERSION)
    if version != MODEL_VERSION:
        raise UnknownModel(f"model {name[:80]!r} has no version {version[:20]!r}, only {MODEL_VERSION!r}")
    return name


def _http_reply(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such path, or not with this method."""
    reply = error_reply(InvalidRequest(f"{request.method} {request.path[:200]}: {error.reason}"))
    reply.set_status(error.status)
    if hdrs.ALLOW in error.headers:
        reply.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return reply
