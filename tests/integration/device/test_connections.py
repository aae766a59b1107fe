"""Connections that died silently: when the device finds one, it uses none of the others that were idle with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from collabd.catalog.package.package import Package
from collabd.config import FailoverSettings, LinkSettings
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.watcher import Watcher
from collabd.lifecycle import background
from collabd.simulation.relay import Relay
from tests.device_parts import companion_at
from tests.integration.device.test_watching import OPEN_S, Fickle, running, usable
from tests.patience import comes_true

IDLE = 5


@asynccontextmanager
async def far_away(fickle: Fickle) -> AsyncIterator[tuple[Companion, Relay, web.AppRunner]]:
    """A companion behind a relay, which has answered, and to which there are `IDLE` kept-alive connections."""
    async with (
        running(fickle) as runner,
        Relay(("127.0.0.1", 0), runner.addresses[0][:2]) as relay,
        Connections(Dialler()) as connections,
    ):
        url = "http://{}:{}".format(*relay.address)
        companion = companion_at(url, connections, FailoverSettings(breaker_open_s=OPEN_S))
        # Of a link that is known, so that a lost ping is noticed soon.
        for _ in range(3):
            await companion.ping(0)
        fickle.answers.clear()
        pings = [asyncio.create_task(companion.ping(0)) for _ in range(IDLE)]
        await comes_true(lambda: len(fickle.asked) == 3 + IDLE)
        fickle.answers.set()
        await asyncio.gather(*pings)
        fickle.asked.clear()
        yield companion, relay, runner


def connected(runner: web.AppRunner) -> int:
    assert runner.server is not None
    return len(runner.server.connections)


async def test_after_one_late_ping_the_next_is_on_a_fresh_connection(tiny_package: Package) -> None:
    async with far_away(Fickle(tiny_package)) as (companion, relay, runner):
        assert connected(runner) == IDLE
        relay.silence()
        with pytest.raises(CompanionFailure) as late:
            await companion.ping(0)
        assert late.value.reason is FailureReason.LATE
        await companion.ping(0)


async def test_when_the_breaker_opens_the_first_probe_gets_through(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with far_away(fickle) as (companion, relay, _):
        relay.silence()
        for _ in range(FailoverSettings().breaker_failures):
            companion.note_failure(CompanionFailure(FailureReason.LATE, "no answer"))
        assert not companion.is_up()
        async with background("watching", Watcher(companion, LinkSettings(), lambda: [tiny_package]).run):
            await comes_true(lambda: usable(companion, tiny_package))
        # One ping, then what the companion holds; no probe was lost on the way.
        assert fickle.asked[:2] == ["ping", "profile"]
        assert companion.problem == "no answer"


async def test_an_answer_that_is_late_lets_the_next_call_begin_afresh(tiny_package: Package) -> None:
    async with far_away(Fickle(tiny_package)) as (companion, relay, _):
        relay.silence()
        companion.note_late("it did not come", 10, 1.0, late=True, lost=False)
        await companion.ping(0)
        assert companion.is_up()


async def test_to_be_overtaken_before_an_answer_is_due_costs_no_connection(tiny_package: Package) -> None:
    async with far_away(Fickle(tiny_package)) as (companion, _, runner):
        companion.note_late("the device was faster", 10, 1.0, late=False, lost=False)
        await companion.ping(0)
        assert connected(runner) == IDLE


async def test_what_is_under_way_on_connections_left_behind_ends_well(tiny_package: Package) -> None:
    fickle = Fickle(tiny_package)
    async with far_away(fickle) as (companion, _, runner):
        fickle.answers.clear()
        under_way = asyncio.create_task(companion.ping(0))
        await comes_true(lambda: fickle.asked == ["ping"])
        companion.exchange.leave()
        other = asyncio.create_task(companion.ping(0))
        await comes_true(lambda: fickle.asked == ["ping"] * 2)
        # The idle ones are closed at once, the one that is busy when its exchange has ended.
        await comes_true(lambda: connected(runner) == 2)
        fickle.answers.set()
        await asyncio.gather(under_way, other)
        await comes_true(lambda: connected(runner) == 1)


async def test_after_a_sleep_no_connection_is_trusted(tiny_package: Package) -> None:
    """The clocks of a machine stand still while it sleeps, and routers forget its connections."""
    fickle, tired, slept_s = Fickle(tiny_package), False, 0.0
    async with far_away(fickle) as (companion, relay, _):

        def sleep() -> float:
            nonlocal slept_s
            # The watcher asks between two pings, so that none is under way when the connections are lost.
            if tired and not slept_s:
                slept_s = 3600.0
                fickle.asked.clear()
                relay.silence()
            return slept_s

        watcher = Watcher(companion, LinkSettings(), lambda: [tiny_package], slept_s=sleep)
        async with background("watching", watcher.run):
            await comes_true(lambda: usable(companion, tiny_package) and "ping" in fickle.asked)
            tired = True
            await comes_true(lambda: slept_s > 0 and "ping" in fickle.asked)
            assert companion.is_up()
            assert companion.problem is None
            assert companion.link.read(time.monotonic()).age_s is not None
