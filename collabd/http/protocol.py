"""The Open Inference Protocol v2 over HTTP, in front of whatever can answer: the adapter that both daemons share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import msgspec
import numpy as np
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from collab_sdk import wire
from collab_sdk.errors import NotReady, UnknownModel
from collab_sdk.result import MODEL_VERSION
from collabd.catalog.package.manifest import Port
from collabd.http import bodies
from collabd.http.aiohttp_privates import Answer
from collabd.http.bodies import NETWORK, BodyPace
from collabd.http.error_replies import refusal, told
from collabd.http.parameters import EXTENSIONS
from collabd.http.plain import PLAIN_PATH, PlainAnswer, PlainRequest, RequestHead, reply_bytes
from collabd.http.refused_extensions import SHARED_MEMORY, refusals
from collabd.http.repository import Repository, RepositoryRoutes

# JSON of this size is decoded within some 10 ms.
_QUICK_JSON_BYTES = 2**18
# Tensors of this size become JSON within some 2 ms.
_QUICK_TENSOR_BYTES = 2**14
# Requests of at most this size are remembered, so many of them.
_SHORT_BYTES = 1024
_REMEMBERED = 64
_JSON = msgspec.json.Encoder()

# From a request's body and the length of its JSON header, where there is one. Raises `CollabError`.
Decode: TypeAlias = Callable[[bytes | bytearray | memoryview, int | None], wire.InferRequest]
# From a plain request and the body of the reply to it: more headers for the reply.
Seal: TypeAlias = Callable[[PlainRequest, Sequence[bytes | memoryview]], Awaitable[dict[str, str]]]


class DataPlane(Repository, Protocol):
    """What can answer, whatever the protocol in front of it. Methods raise `CollabError`."""

    def ready(self) -> bool:
        """Whether requests are served now."""

    def server_metadata(self) -> dict[str, Any]:
        """``name`` and ``version``."""

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The model's ``inputs`` and ``outputs`` in the protocol's terms. Raises `UnknownModel`."""

    def model_config(self, name: str) -> dict[str, Any]:
        """What the network takes and gives, as `collabd.http.model_config` says it. Raises `UnknownModel`."""

    def statistics(self, name: str | None) -> list[dict[str, Any]]:
        """What this model has answered, or each of them (`collabd.http.statistics`). Raises `UnknownModel`."""

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer an inference request."""


class Visit(Protocol):
    """One inference request, from its headers to its answer. A context: leaving it gives back what the request held."""

    async def may_read(self) -> None:
        """Wait until the body may be read. Raises `CollabError`."""

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer the request. Raises `CollabError`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


# Looks at the headers of an inference request, before its body is read. Raises `CollabError` where it refuses.
Door: TypeAlias = Callable[[web.Request], Visit]


class OpenDoor:
    """A `Door` and a `Visit` at once: it lets everybody in, and holds nothing for them."""

    def __init__(self, plane: DataPlane) -> None:
        self.infer = plane.infer

    def __call__(self, _: web.Request) -> OpenDoor:
        """The visit of any request."""
        return self

    async def may_read(self) -> None:
        """At once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class InferenceProtocol:
    """The protocol's paths; the body of a request may have `max_request_bytes`. Without a `door` all are let in."""

    def __init__(
        self,
        plane: DataPlane,
        max_request_bytes: int,
        *,
        door: Door | None = None,
        pace: BodyPace = NETWORK,
        decode: Decode = wire.decode_request,
        extensions: Sequence[str] = EXTENSIONS,
    ) -> None:
        """`extensions`: those of the protocol that can be used here, by their names."""
        self._plane = plane
        self._max_request_bytes = max_request_bytes
        self._door = door or OpenDoor(plane)
        self._pace = pace
        self._decode = decode
        self._extensions = sorted(extensions)
        self._repository = RepositoryRoutes(plane, pace)
        # A client says the same of each image that it leaves in shared memory. Nobody changes a request.
        self._remembered = lru_cache(_REMEMBERED)(decode)
        self._long_json = ThreadPoolExecutor(1, thread_name_prefix="json")

    def routes(self) -> list[web.RouteDef]:
        """All paths, with their handlers."""
        defined = [
            web.get("/v2", self._server),
            web.get("/v2/health/live", self._live),
            web.get("/v2/health/ready", self._ready),
            web.get("/v2/models/stats", self._statistics),
            *self._repository.routes(),
            *refusals(shared_memory=SHARED_MEMORY not in self._extensions),
        ]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            defined += [
                web.get(model, self._model),
                web.get(f"{model}/ready", self._model_ready),
                web.get(f"{model}/config", self._config),
                web.get(f"{model}/stats", self._statistics),
                web.post(f"{model}/infer", self._infer, expect_handler=bodies.when_read),
            ]
        return defined

    def before(self, answer: Answer, middlewares: Sequence[Middleware]) -> Answer:
        """Answer inference requests without the search for a route, and pass the others to `answer`.

        `middlewares` are put around, the first outermost. The search and the application's own wrapping take about as
        long as all that the daemon itself does for a request.
        """

        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            name = _named(request)
            if name is None or not isinstance(request, web.Request):
                return await answer(request)
            handler: Handler = partial(self._answer, name)
            for middleware in reversed(middlewares):
                handler = partial(middleware, handler=handler)
            return await handler(request)

        return answered

    async def _server(self, _: web.Request) -> web.Response:
        """Name, version, and the extensions that can be used here."""
        return web.json_response(self._plane.server_metadata() | {"extensions": self._extensions})

    async def _live(self, _: web.Request) -> web.Response:
        """Whether the daemon is there."""
        return web.json_response({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        """Whether all models are loaded; 503 until then."""
        ready = self._plane.ready()
        return web.json_response({"ready": ready}, status=200 if ready else NotReady.http_status)

    async def _model(self, request: web.Request) -> web.Response:
        """Inputs and outputs of a model, as a call gives and gets them."""
        name = _model_name(request)
        return web.json_response({"name": name, "versions": [MODEL_VERSION]} | self._plane.model_metadata(name))

    async def _model_ready(self, request: web.Request) -> web.Response:
        """Whether the model answers now; 503 until then."""
        name = _model_name(request)
        ready = self._plane.model_ready(name)
        return web.json_response({"name": name, "ready": ready}, status=200 if ready else NotReady.http_status)

    async def _config(self, request: web.Request) -> web.Response:
        """What the network takes and gives, as a model configuration of Triton's."""
        return web.json_response(self._plane.model_config(_model_name(request)))

    async def _statistics(self, request: web.Request) -> web.Response:
        """What the model, or each, has answered since the daemon started: counts, and nanoseconds."""
        name = _model_name(request) if "name" in request.match_info else None
        return web.json_response({"model_stats": self._plane.statistics(name)})

    async def _infer(self, request: web.Request) -> web.Response:
        """A call."""
        return await self._answer(_model_name(request), request)

    async def _answer(self, name: str, request: web.Request) -> web.Response:
        bodies.check_length(request.content_length, self._max_request_bytes)
        with self._door(request) as visit:
            await visit.may_read()
            body, received = await bodies.timed_body(request, self._max_request_bytes, self._pace)
            asked = await self._decoded(body, wire.header_length(request.headers))
            message = await self._encoded(await visit.infer(name, asked), asked)
        return web.Response(body=message.body(), headers=message.headers | received)

    def plainly(self, door: Callable[[RequestHead], Visit], seal: Seal | None = None) -> PlainAnswer:
        """The answers to plain requests, whom `door` lets in."""

        async def answered(request: PlainRequest, date: str) -> bytes:
            status, headers, chunks = await replied(request)
            if seal is not None:
                headers |= await seal(request, chunks)
            return reply_bytes(status, headers, chunks, date=date)

        async def replied(request: PlainRequest) -> tuple[HTTPStatus, dict[str, str], Sequence[bytes | memoryview]]:
            try:
                bodies.check_length(request.head.body_bytes, self._max_request_bytes)
                with door(request.head) as visit:
                    await visit.may_read()
                    asked = await self._decoded(request.body, request.header_length)
                    message = await self._encoded(await visit.infer(request.model, asked), asked)
            except Exception as error:  # noqa: BLE001  it is told, and logged if it is the daemon's fault
                said = refusal(told(error, f"inference with {request.model}"))
                return said.status, said.headers, [said.body]
            return HTTPStatus.OK, message.headers, message.chunks

        return answered

    async def _decoded(self, body: bytes | bytearray | memoryview, header_length: int | None) -> wire.InferRequest:
        """The request. JSON of megabytes takes seconds: it is decoded in a thread, one request after the other."""
        if header_length is None and len(body) <= _SHORT_BYTES:
            return self._remembered(bytes(body), None)
        if (len(body) if header_length is None else header_length) <= _QUICK_JSON_BYTES:
            return self._decode(body, header_length)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._long_json, self._decode, body, header_length)

    async def _encoded(self, answer: wire.InferResponse, asked: wire.InferRequest) -> wire.Message:
        """The answer as it was asked for. Large tensors become JSON in the thread, too."""
        as_json = sum(
            len(each.data)
            for each in answer.outputs
            if not (asked.wants_binary(each.name) or "codec" in each.parameters)
        )
        encode = partial(wire.encode_response, answer, asked.wants_binary, _JSON.encode)
        if as_json <= _QUICK_TENSOR_BYTES:
            return encode()
        return await asyncio.get_running_loop().run_in_executor(self._long_json, encode)


def port_metadata(port: Port) -> dict[str, Any]:
    """An input or output as the protocol describes it; -1 for a size that differs from request to request."""
    shape = [-1 if size is None else size for size in port.shape]
    return {"name": port.name, "datatype": wire.datatype_of(np.dtype(port.dtype)), "shape": shape}


def _named(request: web.BaseRequest) -> str | None:
    """The model that an inference request names in the plainest way: in ASCII, without a version. None otherwise."""
    path = PLAIN_PATH.fullmatch(request.raw_path) if request.method == hdrs.METH_POST else None
    return None if path is None else path[1]


def _model_name(request: web.Request) -> str:
    name = request.match_info["name"]
    version = request.match_info.get("version", MODEL_VERSION)
    if version != MODEL_VERSION:
        raise UnknownModel(f"model {name[:80]!r} has no version {version[:20]!r}, only {MODEL_VERSION!r}")
    return name
