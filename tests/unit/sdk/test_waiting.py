"""What the caller waits counts: for a daemon that was away or busy, for a thread, for the client's own work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk._waiting import resent, waited
from collab_sdk.aio import AsyncClient
from collab_sdk.budget import Budget
from collab_sdk.client import Client
from collab_sdk.errors import NotReady, Overloaded
from collab_sdk.result import PHASES, Result, Timings

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Answer, Asked, LittleDaemon

IMAGE = np.zeros((2, 2, 3), np.uint8)
# The second and third try come after pauses of 0 and 50 ms.
PAUSES_MS = 50


def by_infer(daemon: LittleDaemon, budget: str) -> Result:
    with Client(daemon.path, timeout_s=10) as client:
        return client.infer(IMAGE, budget)


def by_stream(daemon: LittleDaemon, budget: str) -> Result:
    with Client(daemon.path, timeout_s=10) as client:
        (result,) = client.stream([IMAGE], budget)
    return result


def by_async_infer(daemon: LittleDaemon, budget: str) -> Result:
    async def call() -> Result:
        async with AsyncClient(daemon.path, timeout_s=10) as client:
            return await client.infer(IMAGE, budget)

    return asyncio.run(call())


def by_async_stream(daemon: LittleDaemon, budget: str) -> Result:
    async def call() -> Result:
        async with AsyncClient(daemon.path, timeout_s=10) as client:
            (result,) = [result async for result in client.stream([IMAGE], budget)]
            return result

    return asyncio.run(call())


each_way = pytest.mark.parametrize("infer", [by_infer, by_stream, by_async_infer, by_async_stream])
Infer = Callable[["LittleDaemon", str], Result]


@pytest.fixture
def hesitant(daemon: LittleDaemon, changed: Callable[..., Result]) -> LittleDaemon:
    """Takes the third try, keeps every budget itself, and counts what the caller has waited, as collabd does."""

    def script(asked: Asked) -> Answer:
        if len(daemon.asked) < 3:
            raise (NotReady("stopping"), Overloaded("full"))[len(daemon.asked) - 1]
        latency_ms = 1e3 * wire.waited_s(asked.headers) + 3
        result = changed(measured=Timings(latency_ms, head_ms=2), budget_met=True, unmet=(), degraded=False, why="")
        return daemon.answer_with(result)(asked)

    daemon.script, daemon.beside_errors = script, {"Retry-After": "0"}
    return daemon


@each_way
def test_waiting_for_the_daemon_counts_against_the_cap(hesitant: LittleDaemon, infer: Infer) -> None:
    result = infer(hesitant, "40ms")
    assert (result.budget_met, result.unmet) == (False, ("latency",))
    assert result.measured.latency_ms is not None
    assert result.measured.client_ms is not None
    assert PAUSES_MS <= result.measured.client_ms < result.measured.latency_ms
    assert result.why.startswith("the call waited ")
    assert "until collabd accepted it" in result.why


@each_way
def test_a_cap_that_is_kept_in_spite_of_it_is_kept(hesitant: LittleDaemon, infer: Infer) -> None:
    result = infer(hesitant, "60s")
    assert (result.budget_met, result.unmet) == (True, ())
    assert (result.measured.latency_ms or 0) >= PAUSES_MS
    assert "until collabd accepted it" in result.why


def test_the_daemon_is_told_what_is_left(hesitant: LittleDaemon) -> None:
    by_infer(hesitant, "40ms")
    waited_ms = [1e3 * wire.waited_s(asked.headers) for asked in hesitant.asked[:3]]
    assert waited_ms[0] == 0
    assert 0 < waited_ms[1] < waited_ms[2]
    assert waited_ms[2] >= PAUSES_MS
    assert {asked.infer().parameters["budget"] for asked in hesitant.asked[:3]} == {"40ms"}


@each_way
def test_a_daemon_that_does_not_count_it_changes_nothing(
    daemon: LittleDaemon, changed: Callable[..., Result], infer: Infer
) -> None:
    answer = daemon.answer_with(changed(measured=Timings(3.0), budget_met=True, unmet=()))

    def script(asked: Asked) -> Answer:
        if len(daemon.asked) < 3:
            raise NotReady("stopping")
        return answer(asked)

    daemon.script, daemon.beside_errors = script, {"Retry-After": "0"}
    result = infer(daemon, "40ms")
    assert result.unmet == ("latency",)
    assert result.measured.other_ms == pytest.approx(3.0)


def slow(daemon: LittleDaemon, seconds: float) -> None:
    answer = daemon.script

    def script(asked: Asked) -> Answer:
        time.sleep(seconds if asked.path.endswith("/infer") else 0)
        return answer(asked)

    daemon.script = script


def over_one_thread(
    calls: Callable[[AsyncClient], Iterable[asyncio.Future[Result]]], daemon: LittleDaemon
) -> list[Result]:
    async def run() -> list[Result]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with AsyncClient(daemon.path, timeout_s=10) as client:
            return list(await asyncio.gather(*calls(client)))

    return asyncio.run(run())


def test_waiting_for_a_thread_is_waiting(daemon: LittleDaemon) -> None:
    slow(daemon, 0.05)
    results = over_one_thread(
        lambda client: [asyncio.ensure_future(client.infer(IMAGE, "100ms")) for _ in range(4)], daemon
    )
    latencies = [result.measured.latency_ms or 0 for result in results]
    assert latencies == sorted(latencies)
    assert latencies[3] >= 200
    assert "latency" in results[3].unmet


def test_a_frame_waits_from_when_it_was_taken(daemon: LittleDaemon) -> None:
    slow(daemon, 0.05)

    async def run() -> list[Result]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with AsyncClient(daemon.path, timeout_s=10) as client:
            return [result async for result in client.stream([IMAGE] * 3, in_flight=3)]

    assert (asyncio.run(run())[2].measured.latency_ms or 0) >= 150


def a_call(changed: Callable[..., Result], cap_ms: float | None) -> Result:
    times = Timings(10.0, head_ms=4.0, tail_ms=5.0)
    return changed(measured=times, budget=Budget(cap_ms), budget_met=True, unmet=(), why="", degraded=False)


def test_what_the_client_took_itself_is_named(changed: Callable[..., Result]) -> None:
    result = waited(a_call(changed, 12.0), 0.015)
    assert (result.measured.latency_ms, result.measured.client_ms, result.measured.other_ms) == (15.0, 5.0, 1.0)
    assert (result.budget_met, result.unmet, result.why) == (
        False,
        ("latency",),
        "5 ms of the latency passed outside collabd",
    )


def test_the_longest_wait_holds_however_often_it_is_told(changed: Callable[..., Result]) -> None:
    result = waited(waited(waited(a_call(changed, None), 0.015), 0.013), 0.020)
    assert (result.measured.latency_ms, result.measured.client_ms) == (20.0, 10.0)
    assert (result.budget_met, result.why) == (True, "")


def test_a_clock_that_is_coarse_takes_nothing_away(changed: Callable[..., Result]) -> None:
    result = waited(a_call(changed, 12.0), 0.009)
    assert (result.measured.latency_ms, result.measured.client_ms, result.budget_met) == (10.0, 0.0, True)


def test_other_caps_that_were_missed_stay(changed: Callable[..., Result]) -> None:
    missed = changed(budget=Budget(1.0), measured=Timings(0.5), budget_met=False, unmet=("cost",), why="late")
    result = waited(missed, 0.002)
    assert result.unmet == ("latency", "cost")
    assert result.why == "late; 2 ms of the latency passed outside collabd"


def test_phases_add_up_to_the_latency(changed: Callable[..., Result]) -> None:
    result = waited(resent(a_call(changed, None), 0.001), 0.012)
    measured = result.measured
    assert (measured.client_ms, measured.latency_ms, measured.other_ms) == (3.0, 12.0, 0.0)
    assert sum(getattr(measured, f"{phase}_ms") or 0 for phase in PHASES) == 12.0
    assert Timings(head_ms=1.0).other_ms is None
