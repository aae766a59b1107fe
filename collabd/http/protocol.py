"""The Open Inference Protocol v2 over HTTP, in front of whatever can answer: the adapter that both daemons share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

from aiohttp import web

from collab_sdk import wire
from collab_sdk.errors import NotReady, UnknownModel
from collab_sdk.result import MODEL_VERSION
from collabd.http import bodies
from collabd.http.bodies import NETWORK, BodyPace

# JSON of this size is decoded within some 10 ms.
_QUICK_JSON_BYTES = 2**18

Infer: TypeAlias = Callable[[str, wire.InferRequest], Awaitable[wire.InferResponse]]
# Lets an inference request in when its turn comes, before its body is read, and gives the function that answers it.
# Raises `CollabError`.
Door: TypeAlias = Callable[[web.Request], AbstractAsyncContextManager[Infer]]
# From a request's body and the length of its JSON header, where there is one. Raises `CollabError`.
Decode: TypeAlias = Callable[[bytearray, int | None], wire.InferRequest]


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
    plane: DataPlane,
    max_request_bytes: int,
    *,
    door: Door | None = None,
    pace: BodyPace = NETWORK,
    decode: Decode = wire.decode_request,
) -> list[web.RouteDef]:
    """The protocol's paths; a request's body may have `max_request_bytes`. Without a `door` all are let in at once."""
    handlers = _Handlers(
        plane,
        max_request_bytes=max_request_bytes,
        door=door or (lambda _: nullcontext(plane.infer)),
        pace=pace,
        decode=decode,
    )
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
            web.post(f"{model}/infer", handlers.infer, expect_handler=bodies.when_read),
        ]
    return defined


class _Handlers:
    """One method a path."""

    def __init__(self, plane: DataPlane, *, max_request_bytes: int, door: Door, pace: BodyPace, decode: Decode) -> None:
        self._plane = plane
        self._max_request_bytes = max_request_bytes
        self._door = door
        self._pace = pace
        self._decode = decode
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
        bodies.check_length(request, self._max_request_bytes)
        async with self._door(request) as infer:
            body, received = await bodies.timed_body(request, self._max_request_bytes, self._pace)
            asked = await self._decoded(body, wire.header_length(request.headers))
            answer = await infer(name, asked)
            message = wire.encode_response(answer, asked.wants_binary)
        return web.Response(body=message.body(), headers=message.headers | received)

    async def _decoded(self, body: bytearray, header_length: int | None) -> wire.InferRequest:
        """The request. JSON of megabytes takes seconds: it is decoded in a thread, one request after the other."""
        if (len(body) if header_length is None else header_length) <= _QUICK_JSON_BYTES:
            return self._decode(body, header_length)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._long_json, self._decode, body, header_length)


def _model_name(request: web.Request) -> str:
    name = request.match_info["name"]
    version = request.match_info.get("version", MODEL_VERSION)
    if version != MODEL_VERSION:
        raise UnknownModel(f"model {name[:80]!r} has no version {version[:20]!r}, only {MODEL_VERSION!r}")
    return name
