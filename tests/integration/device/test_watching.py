"""A companion that comes and goes: when calls are sent to it, and what is asked of it before."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collab_sdk.vocabulary import BreakerState
from collabd.catalog.package.package import Package
from collabd.config import FailoverSettings, LinkSettings
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.watcher import Watcher
from collabd.lifecycle import background
from tests.device_parts import companion_at
from tests.integration.device.impostor import signed
from tests.patience import comes_true
from tests.unit.device.companions.test_package_supply import profile

OPEN_S = 0.3


class Fickle:
    """A companion with one package, which can go away, fall silent, or lose the package."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.asked: list[str] = []
        self.holds = True
        # What its answers to pings say besides.
        self.says: dict[str, object] = {}
        self.answers = asyncio.Event()
        self.answers.set()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.seen, signed])
        app.add_routes([web.post("/collab/v1/ping", self.ping), web.get("/collab/v1/profile/{digest}", self.profile)])
        return app

    @web.middleware
    async def seen(self, request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        self.asked.append(request.path.split("/")[3])
        await self.answers.wait()
        return await handler(request)  # type: ignore[misc,no-any-return]

    async def ping(self, _: web.Request) -> web.Response:
        return web.json_response({"load": 0.1, "slowdown": 1.0, **self.says})

    async def profile(self, _: web.Request) -> web.Response:
        if not self.holds:
            return web.json_response({"state": "measuring"}, status=202)
        return web.Response(body=msgspec.json.encode(profile(self.package)))


@asynccontextmanager
async def running(fickle: Fickle) -> AsyncIterator[web.AppRunner]:
    """It listens on a port of this machine."""
    runner = web.AppRunner(fickle.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner
    finally:
        await runner.cleanup()


def url_of(runner: web.AppRunner) -> str:
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


@asynccontextmanager
async def watched(fickle: Fickle) -> AsyncIterator[tuple[Companion, web.AppRunner]]:
    async with running(fickle) as runner, Connections(Dialler()) as connections:
        companion = companion_at(url_of(runner), connections, FailoverSettings(breaker_open_s=OPEN_S))
        async with background("watching", Watcher(companion, LinkSettings(), lambda: [fickle.package]).run):
            yield companion, runner


def usable(companion: Companion, package: Package) -> bool:
    return companion.state_for(package.digest).up


async def test_one_probe_decides_and_the_profile_comes_before_the_calls(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: usable(companion, tiny_package))
        fickle.answers.clear()
        fickle.asked.clear()
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        await comes_true(lambda: companion.breaker.state(time.monotonic()) is BreakerState.HALF_OPEN)
        await comes_true(lambda: fickle.asked[-1:] == ["ping"])
        # Silent: it is probed, and nothing else is sent.
        assert set(fickle.asked) == {"ping"}
        assert not usable(companion, tiny_package)
        fickle.answers.set()
        await comes_true(lambda: usable(companion, tiny_package))
        assert fickle.asked[fickle.asked.index("profile") - 1] == "ping"


async def test_it_is_not_pinged_before_it_says_so_unless_it_may_be_gone(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    fickle.says["again_s"] = 1e6
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: usable(companion, tiny_package))
        asked = list(fickle.asked)
        # Three looks of the watcher: without that, each would ping it.
        await asyncio.sleep(2.0)
        assert fickle.asked == asked
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        await comes_true(lambda: usable(companion, tiny_package))
        assert fickle.asked.count("ping") == asked.count("ping") + 1


@pytest.mark.parametrize("again_s", [-1, "soon", True, None])
async def test_a_time_that_is_none_is_nonsense(tiny_package: Package, again_s: object) -> None:
    fickle = Fickle(tiny_package)
    fickle.says["again_s"] = again_s
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: "again_s is" in (companion.problem or ""))
        assert not companion.reached


async def test_a_companion_that_comes_back_without_the_package_is_not_used_for_it(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: usable(companion, tiny_package))
        fickle.holds = False
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        await comes_true(companion.is_up)
        assert not usable(companion, tiny_package)
        fickle.holds = True
        await comes_true(lambda: usable(companion, tiny_package))


async def test_a_companion_that_is_started_again_is_used_again(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with watched(fickle) as (companion, runner):
        await comes_true(lambda: usable(companion, tiny_package))
        host, port = runner.addresses[0][:2]
        await next(iter(runner.sites)).stop()
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        await asyncio.sleep(3 * OPEN_S)
        await web.TCPSite(runner, host, port).start()
        await comes_true(lambda: usable(companion, tiny_package))


async def test_a_lost_probe_is_noticed_soon_where_the_link_was_fast(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: usable(companion, tiny_package))
        await comes_true(lambda: companion.link.read(time.monotonic()).age_s is not None)
        assert companion._ping_patience_s(0) == 1.0
        companion.link.learn_late(up_bytes=16_000, seconds=13.0, now=time.monotonic())
        assert companion._ping_patience_s(16_000) > 13.0


async def test_a_package_refused_with_escapes_is_logged_plain(
    tiny_package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        await request.read()
        body = json.dumps(
            {"error": "\x1b[2Jall is well\x9b0m\n\u202eNov 28 pi sudo: root\x00", "code": "invalid_package"}
        ).encode()
        missing = request.method == "GET"
        return web.Response(body=body, status=404 if missing else 400)

    app = web.Application(middlewares=[signed])
    app.add_routes([web.get("/collab/v1/profile/{digest}", refuse), web.put("/collab/v1/packages/{digest}", refuse)])
    app.add_routes([web.post("/collab/v1/ping", Fickle(tiny_package).ping)])
    async with (
        TestServer(app) as server,
        Connections(Dialler()) as connections,
    ):
        companion = companion_at(str(server.make_url("/")), connections)
        with caplog.at_level(logging.INFO, "collabd.device.companions.package_supply"):
            async with background("watching", Watcher(companion, LinkSettings(), lambda: [tiny_package]).run):
                await comes_true(lambda: bool(caplog.records))
    (logged,) = (record.getMessage() for record in caplog.records)
    assert logged == "tiny: pc refused the package: all is well0m; Nov 28 pi sudo: root"


async def test_one_that_cannot_be_watched_counts_as_down_and_says_why(tiny_package: Package) -> None:
    """Its watcher fails at each start. No test waits for the pauses in between."""
    begun = 0

    async def failing() -> None:
        nonlocal begun
        begun += 1
        raise LookupError("no such thing")

    async def at_once(_: float) -> None:
        pass

    fickle = Fickle(tiny_package)
    async with watched(fickle) as (companion, _):
        await comes_true(lambda: usable(companion, tiny_package))
        async with background("watching pc", failing, companion.give_up, sleep=at_once):
            await comes_true(lambda: not companion.is_up())
        assert begun > 1
        assert "pc is down: watching it failed" in companion.why_not(tiny_package.digest)
        assert "no such thing" in companion.why_not(tiny_package.digest)
