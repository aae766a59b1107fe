"""A proxy between the relay and the companion that speaks the protocol and lies, always with right checksums.

So what the device must notice is the content. It stands in the way only while it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import numpy as np
from aiohttp import web

from collab_sdk import wire
from collabd.simulation.relay import Address

_HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "date", "server", "expect"}
_MOST_BYTES = 2**26


@dataclass
class Exchange:
    """A request as it goes on, and its reply as it goes back; a lie changes one of them."""

    path: str
    body: bytes
    headers: dict[str, str]


Lie = Callable[[Exchange], Exchange]


def _same(exchange: Exchange) -> Exchange:
    return exchange


def other_package(digests: Mapping[str, str]) -> Lie:
    """Has each network's requests answered by another one, and so under that one's digest."""
    other = dict(zip(digests, [*list(digests)[1:], *list(digests)[:1]], strict=True))

    def lie(exchange: Exchange) -> Exchange:
        if not exchange.path.endswith("/infer"):
            return exchange
        request = wire.decode_request(exchange.body, wire.header_length(exchange.headers))
        name = other[exchange.path.split("/")[3]]
        request.parameters["digest"] = digests[name]
        request.outputs = []
        return _encoded(f"/v2/models/{name}/infer", wire.encode_request(request), exchange)

    return lie


def nan_features(exchange: Exchange) -> Exchange:
    """Every float32 feature of a request becomes NaN, as f32 carries it."""
    if not exchange.path.endswith("/infer"):
        return exchange
    request = wire.decode_request(exchange.body, wire.header_length(exchange.headers))
    request.inputs = [_nan(tensor) for tensor in request.inputs]
    return _encoded(exchange.path, wire.encode_request(request), exchange)


def nan_answers(exchange: Exchange) -> Exchange:
    """Every float32 tensor of an answer becomes NaN."""
    if wire.header_length(exchange.headers) is None:
        return exchange
    response = wire.decode_response(exchange.body, wire.header_length(exchange.headers))
    response.outputs = [_nan(tensor) for tensor in response.outputs]
    return _encoded(exchange.path, wire.encode_response(response, binary=True), exchange)


def _nan(tensor: wire.Tensor) -> wire.Tensor:
    if tensor.datatype != "FP32":
        return tensor
    array = np.full(tensor.shape, np.nan, np.float32)
    parameters = {"codec": "f32", "zstd": False} if "codec" in tensor.parameters else {}
    return wire.Tensor(tensor.name, "FP32", tensor.shape, data=array.tobytes(), parameters=parameters)


def _encoded(path: str, message: wire.Message, before: Exchange) -> Exchange:
    kept = {name: value for name, value in before.headers.items() if name.lower() != wire.HEADER_LENGTH.lower()}
    return Exchange(path, message.body(), kept | message.headers)


class Liar:
    """An HTTP proxy in front of `companion`; use it as an async context manager."""

    def __init__(self, companion: Address) -> None:
        self._base = "http://{}:{}".format(*companion)
        self.about_requests: Lie = _same
        self.about_replies: Lie = _same
        self._runner: web.AppRunner
        self._session: aiohttp.ClientSession

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def lie(self, *, about_requests: Lie = _same, about_replies: Lie = _same) -> None:
        """From now on tell these lies; none without arguments."""
        self.about_requests, self.about_replies = about_requests, about_replies

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Exchange(request.path_qs, body, _headers(request.headers))
        try:
            async with self._ask(request.method, self.about_requests(asked)) as reply:
                status, headers = reply.status, reply.headers
                answer = Exchange(request.path_qs, await reply.read(), _headers(headers))
        except (aiohttp.ClientError, wire.WireError, LookupError):
            # Another fault was faster than this one.
            return web.Response(status=502)
        answer = self.about_replies(answer)
        checksums = {wire.CHECKSUM: wire.checksum(answer.body)}
        if wire.REQUEST_CHECKSUM in headers:
            checksums[wire.REQUEST_CHECKSUM] = wire.checksum(body)
        return web.Response(status=status, body=answer.body, headers=answer.headers | checksums)

    def _ask(self, method: str, asked: Exchange) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(method, self._base + asked.path, data=asked.body or None, headers=asked.headers)


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    ours = {*_HOP_BY_HOP, wire.CHECKSUM.lower(), wire.REQUEST_CHECKSUM.lower()}
    return {name: value for name, value in headers.items() if name.lower() not in ours}
