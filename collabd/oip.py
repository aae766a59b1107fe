"""The Open Inference Protocol v2 over HTTP, in front of whatever can answer: the adapter that both daemons share.

Every failure leaves as the wire form of an error: its HTTP status and ``{"error": ..., "code": ..., "details": ...}``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol

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
    RequestTooLarge,
    UnknownModel,
)
from collab_sdk.result import MODEL_VERSION
from collabd.codec import CodecError

log = logging.getLogger(__name__)

# A peer that lost power goes without a word; a body that grows no more for this long is given up.
_STALLED_S = 60.0
_RETRY_AFTER_S = 1


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


def routes(plane: DataPlane, max_request_bytes: int) -> list[web.RouteDef]:
    """The protocol's paths; a request's body may have `max_request_bytes`."""
    handlers = _Handlers(plane, max_request_bytes)
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
            web.post(f"{model}/infer", handlers.infer),
        ]
    return defined


async def read_body(request: web.Request, limit: int) -> bytearray:
    """The request's body, unpacked if it came compressed. Raises `RequestTooLarge` as soon as it passes `limit`."""
    body = bytearray()
    too_large = RequestTooLarge(f"the request has more than {limit} bytes", {"limit_bytes": limit})
    if (request.content_length or 0) > limit:
        raise too_large
    try:
        while chunk := await _next_chunk(request):
            body += chunk
            if len(body) > limit:
                raise too_large
    except TimeoutError:
        raise InvalidRequest(f"the body stopped coming for {_STALLED_S:.0f} s after {len(body)} bytes") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        # Else aiohttp reads on behind our reply, meets the same error and logs it as a defect.
        request.content.feed_eof()
        raise InvalidRequest(f"the body cannot be read: {error}") from error
    return body


async def timed_body(request: web.Request, limit: int) -> tuple[bytearray, dict[str, str]]:
    """The body as `read_body` does, and the response's header that says how long it took to come."""
    start = time.perf_counter()
    body = await read_body(request, limit)
    return body, {wire.RECEIVE_MS: f"{(time.perf_counter() - start) * 1e3:.3f}"}


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into the wire form. What is nobody's mistake but ours is logged in full."""
    try:
        return await handler(request)
    except CollabError as error:
        if isinstance(error, DaemonFault):
            log.exception("%s %s failed", request.method, request.path)
        reply = _error_reply(error)
    except CodecError as error:
        reply = _error_reply(InvalidTensor(str(error)))
    except wire.WireError as error:
        reply = _error_reply(InvalidRequest(str(error)))
    except web.HTTPException as error:
        reply = _http_reply(request, error)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        reply = _error_reply(DaemonFault("the daemon failed at this request; its journal says how"))
    # What follows a body that could not be read is not the next request.
    if request.content.exception() is not None:
        reply.force_close()
    return reply


class _Handlers:
    """One method a path."""

    def __init__(self, plane: DataPlane, max_request_bytes: int) -> None:
        self._plane = plane
        self._max_request_bytes = max_request_bytes

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
        body, received = await timed_body(request, self._max_request_bytes)
        asked = wire.decode_request(body, wire.header_length(request.headers))
        answer = await self._plane.infer(name, asked)
        message = wire.encode_response(answer, asked.wants_binary)
        return web.Response(body=message.body(), headers=message.headers | received)


async def _next_chunk(request: web.Request) -> bytes:
    async with asyncio.timeout(_STALLED_S):
        return await request.content.readany()


def _model_name(request: web.Request) -> str:
    name = request.match_info["name"]
    version = request.match_info.get("version", MODEL_VERSION)
    if version != MODEL_VERSION:
        raise UnknownModel(f"model {name[:80]!r} has no version {version[:20]!r}, only {MODEL_VERSION!r}")
    return name


def _error_reply(error: CollabError) -> web.Response:
    headers = {hdrs.RETRY_AFTER: str(_RETRY_AFTER_S)} if isinstance(error, Overloaded | NotReady) else None
    body = wire.encode_error(error)
    return web.Response(body=body, status=error.http_status, content_type="application/json", headers=headers)


def _http_reply(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such path, or not with this method."""
    reply = _error_reply(InvalidRequest(f"{request.method} {request.path[:200]}: {error.reason}"))
    reply.set_status(error.status)
    if hdrs.ALLOW in error.headers:
        reply.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return reply
