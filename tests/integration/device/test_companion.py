"""What an exchange with a real companion teaches of the link and of the companion."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collab_sdk import wire
from collabd.cloud.server import running
from collabd.config import (
    CloudConfig,
    CloudModelSettings,
    CloudServerSettings,
    Loaded,
)
from collabd.device.companions.answers import Question
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.sensing.reading import NotMeasured
from tests.device_parts import companion_at


@pytest.fixture
async def http() -> AsyncIterator[Connections]:
    async with Connections(Dialler()) as connections:
        yield connections


NOTHING_SENT = {wire.REQUEST_CHECKSUM: wire.checksum(b"")}
QUESTION = Question(
    model="net",
    digest="sha256:0",
    inputs=[],
    outputs=["scores"],
    bytes_down=12,
    read=lambda found: {each.name: each.to_array() for each in found},
)


async def test_a_ping_measures_the_link_and_the_load(http: Connections, tmp_path: Path) -> None:
    config = CloudConfig(
        server=CloudServerSettings(port=0),
        models=CloudModelSettings(roots=(str(tmp_path / "models"),)),
        state_dir=str(tmp_path),
    )
    async with running(Loaded(config, None)) as cloud:
        companion = companion_at(cloud.address, http)
        await companion.ping(0)
        assert companion.link.read(0.0).age_s is None  # it set up the connection, which is no measure of the link
        await companion.ping(0)
        await companion.ping(16_000)
        reply = await companion.exchange.call("POST", "/collab/v1/ping", data=[bytes(16_000)])
    assert companion.reached
    assert companion.link.read(0.0).age_s is not None
    assert companion.load is not None
    assert reply.receive_s is not None
    assert not isinstance(reply.round_trip_s, NotMeasured)
    assert 0 < reply.round_trip_s < reply.seconds


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b"[]"),
        (200, b"{"),
        (200, b'{"load": 0.1}'),
        (200, b'{"load": 0.1, "slowdown": 0.5}'),
        (200, b'{"load": "much", "slowdown": 1}'),
        (200, b'{"load": 0.1, "slowdown": NaN}'),
        (404, b'{"load": 0.1, "slowdown": 1}'),
    ],
)
async def test_what_is_no_companion_is_not_believed(
    http: Connections, aiohttp_server_at: Any, status: int, answer: bytes
) -> None:
    async def ping(_: web.Request) -> web.Response:
        return web.Response(body=answer, status=status, headers={wire.CHECKSUM: wire.checksum(answer), **NOTHING_SENT})

    companion = companion_at(await aiohttp_server_at(web.post("/collab/v1/ping", ping)), http)
    with pytest.raises(CompanionFailure) as failure:
        await companion.ping(0)
    assert failure.value.reason is FailureReason.NONSENSE
    assert not companion.reached


async def test_a_queue_is_old_news_soon(http: Connections, aiohttp_server_at: Any) -> None:
    took = {"queue_ms": 50, "decode_ms": 1, "compute_ms": 1, "batch": 1, "slowdown": 2.5, "digest": "sha256:0"}

    async def infer(request: web.Request) -> web.Response:
        body = wire.encode_response(wire.InferResponse("net", "1", [], id="", parameters=took), lambda _: True).body()
        await asyncio.sleep(0.06)
        sums = {wire.CHECKSUM: wire.checksum(body), wire.REQUEST_CHECKSUM: wire.checksum(await request.read())}
        return web.Response(body=body, headers=sums)

    slept_s = 0.0
    url = await aiohttp_server_at(web.post("/v2/models/net/infer", infer))
    companion = companion_at(url, http, clock=lambda: time.monotonic() + slept_s)
    await companion.infer(QUESTION)
    assert 0.01 < companion.queue_s <= 0.025
    assert companion.load is None
    slept_s = 20.0
    assert companion.queue_s < 0.001
    assert companion.slowness == pytest.approx(2.5, rel=0.01)


@pytest.fixture
async def aiohttp_server_at() -> AsyncIterator[Any]:
    """A server of one route, on a port of its own."""
    app = web.Application()
    runner = web.AppRunner(app)

    async def serve(route: web.RouteDef) -> str:
        app.add_routes([route])
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return "http://{}:{}".format(*runner.addresses[0][:2])

    yield serve
    await runner.cleanup()
