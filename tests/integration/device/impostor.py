"""A companion that answers tails with whatever a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from aiohttp import web
from aiohttp.typedefs import Handler as Next

from collab_sdk import wire
from tests.integration.device.conftest import Bench, Factory, stored_profile, until_up

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _nothing() -> None:
    pass


@dataclass
class Impostor:
    """Answers tails with `answer`. It holds the package once it is given a profile."""

    answer: Handler
    url: str = ""
    profile: dict[str, object] = field(default_factory=dict)
    # From then on it listens no more, but keeps the connections that it has.
    stop: Callable[[], Awaitable[None]] = _nothing

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Surrounds its life."""
        app = web.Application(middlewares=[signed])
        app.add_routes(
            [
                web.post("/collab/v1/ping", self._ping),
                web.get("/collab/v1/profile/{digest}", self._its_profile),
                web.post("/v2/models/{name}/infer", self._answers),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url, self.stop = f"http://127.0.0.1:{runner.addresses[0][1]}", site.stop
        try:
            yield self
        finally:
            await runner.cleanup()

    async def know(self, it: Bench, slower: float = 1.0) -> None:
        """It says that it runs so many times slower than the device, as that was profiled."""
        path = await asyncio.to_thread(stored_profile, it.profiles)
        self.profile |= _slowed(json.loads(path.read_bytes()), slower)

    async def _answers(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response({"bytes": len(await request.read()), "load": 0.1, "slowdown": 1.0})

    async def _its_profile(self, _: web.Request) -> web.Response:
        return web.json_response(self.profile, status=200 if self.profile else 202)


@asynccontextmanager
async def impostor(
    bench: Factory, answer: Handler, settings: str = "", prices: str = "", **device: Any
) -> AsyncIterator[Bench]:
    """A device whose companion holds the package and a profile, and answers tails with `answer`.

    `device`: what else the device is built of.
    """
    async with (
        Impostor(answer).listening() as companion,
        bench(settings, cloud=companion.url, prices=prices, **device) as it,
    ):
        await companion.know(it)
        await until_up(it)
        it.stop_cloud = companion.stop
        yield it


@web.middleware
async def signed(request: web.Request, handler: Next) -> web.StreamResponse:
    """The checksums that a companion sends, unless the handler has stated others; errors go before the upload."""
    answer = await handler(request)
    if isinstance(answer, web.Response):
        body = answer.body if isinstance(answer.body, bytes) else b""
        answer.headers.setdefault(wire.CHECKSUM, wire.checksum(body))
        if answer.status < web.HTTPBadRequest.status_code:
            answer.headers.setdefault(wire.REQUEST_CHECKSUM, wire.checksum(await request.read()))
    return answer


async def reply(request: web.Request, outputs: list[wire.Tensor], **parameters: object) -> web.Response:
    """An answer of the package that was asked for, with timings that can be."""
    asked = wire.decode_request(await request.read(), wire.header_length(request.headers))
    usual = {"queue_ms": 0.0, "decode_ms": 0.0, "compute_ms": 0.1, "batch": 1, "load": 0.1, "slowdown": 1.0}
    said = {"digest": asked.parameters["digest"]} | usual | parameters
    message = wire.encode_response(wire.InferResponse("tiny", "1", outputs, parameters=said), binary=True)
    return web.Response(body=message.body(), headers=message.headers)


def logits(values: object) -> wire.Tensor:
    """The tiny network's output."""
    return wire.Tensor.from_array("logits", np.asarray(values))


def _slowed(said: Any, factor: float) -> Any:
    """A profile, or a part of it."""
    if isinstance(said, list):
        return [_slowed(each, factor) for each in said]
    if not isinstance(said, dict):
        return said
    return {
        name: value * factor if name.endswith("_ms") and value is not None else _slowed(value, factor)
        for name, value in said.items()
    }
