"""What the caller waits counts: for a daemon that was away or busy, for a thread, for the client's own work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk._waiting import add_resending, add_waiting
from collab_sdk.aio import AsyncClient
from collab_sdk.answers import Legend
from collab_sdk.budget import Budget
from collab_sdk.client import Client
from collab_sdk.errors import NotReady, Overloaded
from collab_sdk.result import PHASES, ReceivedAnswer, Result, Timings, decode_result, encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest
from tests.patience import PATIENCE_S
from tests.served import refusal
from tests.unit.sdk.conftest import HandClock, ScriptedDaemon, a_result, answer_with, is_inference

IMAGE = np.zeros((2, 2, 3), np.uint8)
# The second and third try come after pauses of 0 and 50 ms.
PAUSES_MS = 50.0
REFUSALS = [refusal(NotReady("stopping"), retry_after="0"), refusal(Overloaded("full"), retry_after="0")]

Infer = Callable[[ScriptedDaemon, HandClock, str], Result]


def by_infer(daemon: ScriptedDaemon, clock: HandClock, budget: str) -> Result:
    return Client(timeout_s=10, transport=daemon, clock=clock).infer(IMAGE, budget)


def by_stream(daemon: ScriptedDaemon, clock: HandClock, budget: str) -> Result:
    (result,) = Client(timeout_s=10, transport=daemon, clock=clock).stream([IMAGE], budget)
    return result


def by_async_infer(daemon: ScriptedDaemon, clock: HandClock, budget: str) -> Result:
    return asyncio.run(AsyncClient(timeout_s=10, transport=daemon, clock=clock).infer(IMAGE, budget))


def by_async_stream(daemon: ScriptedDaemon, clock: HandClock, budget: str) -> Result:
    async def call() -> Result:
        client = AsyncClient(timeout_s=10, transport=daemon, clock=clock)
        (result,) = [result async for result in client.stream([IMAGE], budget)]
        return result

    return asyncio.run(call())


each_way = pytest.mark.parametrize("infer", [by_infer, by_stream, by_async_infer, by_async_stream])


@pytest.fixture
def hesitant(daemon: ScriptedDaemon, changed: Callable[..., Result]) -> ScriptedDaemon:
    """Takes the third try, keeps every budget itself, and counts what the caller has waited, as collabd does."""

    def script(asked: DaemonRequest) -> DaemonReply:
        if len(daemon.requests) < 3:
            return REFUSALS[len(daemon.requests) - 1]
        latency_ms = 1e3 * wire.waited_s(asked.message.headers) + 3
        measured = Timings(latency_ms=latency_ms, head_ms=2)
        return answer_with(changed(measured=measured, budget_met=True, unmet=(), degraded=False, why=""))(asked)

    daemon.script = script
    return daemon


@each_way
def test_waiting_for_the_daemon_counts_against_the_cap(
    hesitant: ScriptedDaemon, clock: HandClock, infer: Infer
) -> None:
    result = infer(hesitant, clock, "40ms")
    assert (result.budget_met, result.unmet) == (False, ("latency",))
    assert result.measured.latency_ms == pytest.approx(PAUSES_MS + 3)
    assert result.measured.client_ms == pytest.approx(PAUSES_MS)
    assert result.why.startswith("the call waited 50 ms until collabd accepted it")


@each_way
def test_a_cap_that_is_kept_in_spite_of_it_is_kept(hesitant: ScriptedDaemon, clock: HandClock, infer: Infer) -> None:
    result = infer(hesitant, clock, "60ms")
    assert (result.budget_met, result.unmet) == (True, ())
    assert result.measured.latency_ms == pytest.approx(PAUSES_MS + 3)
    assert result.why == "the call waited 50 ms until collabd accepted it"


def test_the_daemon_is_told_what_is_left(hesitant: ScriptedDaemon, clock: HandClock) -> None:
    clock.now = 0.0
    by_infer(hesitant, clock, "40ms")
    # The first pause takes no time.
    assert [1e3 * wire.waited_s(asked.message.headers) for asked in hesitant.requests[:3]] == [0, 0, PAUSES_MS]
    assert [str(call.budget) for call in hesitant.calls] == ["40ms"] * 3


@each_way
def test_a_daemon_that_does_not_count_it_changes_nothing(
    daemon: ScriptedDaemon, clock: HandClock, changed: Callable[..., Result], infer: Infer
) -> None:
    answer = answer_with(changed(measured=Timings(latency_ms=3.0), budget_met=True, unmet=()))
    daemon.script = lambda asked: REFUSALS[0] if len(daemon.requests) < 3 else answer(asked)
    result = infer(daemon, clock, "40ms")
    assert result.unmet == ("latency",)
    assert result.measured.other_ms == pytest.approx(3.0)


def slow(daemon: ScriptedDaemon, clock: HandClock, seconds: float) -> None:
    """Every answer takes so long, and keeps its budget as far as the daemon knows."""
    answer = answer_with(a_result(measured=Timings(latency_ms=3.0), budget_met=True, unmet=()))

    def script(asked: DaemonRequest) -> DaemonReply:
        clock.now += seconds if is_inference(asked) else 0
        return answer(asked)

    daemon.script = script


def test_waiting_for_a_thread_is_waiting(daemon: ScriptedDaemon, clock: HandClock) -> None:
    slow(daemon, clock, 0.05)
    # The clock must not go on while the loop looks at it: a call is answered when the one before it is done.
    turns, answer = threading.Semaphore(0), daemon.script

    def in_turn(asked: DaemonRequest) -> DaemonReply:
        if is_inference(asked):
            turns.acquire(timeout=PATIENCE_S)
        return answer(asked)

    daemon.script = in_turn

    async def run() -> list[Result]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        client = AsyncClient(timeout_s=10, transport=daemon, clock=clock)
        calls = [asyncio.create_task(client.infer(IMAGE, "180ms")) for _ in range(4)]
        for call in calls:
            call.add_done_callback(lambda _: turns.release())
        await asyncio.sleep(0)  # all of them wait for the thread
        turns.release()
        return await asyncio.gather(*calls)

    results = asyncio.run(run())
    assert [result.measured.latency_ms for result in results] == pytest.approx([50, 100, 150, 200])
    assert [result.unmet for result in results] == [(), (), (), ("latency",)]


def test_a_frame_waits_from_when_it_was_taken(daemon: ScriptedDaemon, clock: HandClock) -> None:
    slow(daemon, clock, 0.05)

    async def run() -> list[Result]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        client = AsyncClient(timeout_s=10, transport=daemon, clock=clock)
        return [result async for result in client.stream([IMAGE] * 3, in_flight=3)]

    assert asyncio.run(run())[2].measured.latency_ms == pytest.approx(150)


def arrived(result: Result) -> Result:
    """The result as it comes from the daemon."""
    message = wire.encode_response(encode_result(result), binary=True)
    answer = ReceivedAnswer(message.body(), wire.header_length(message.headers))
    return decode_result(answer, Legend(result.labels), result.budget)


def a_call(changed: Callable[..., Result], cap_ms: float | None) -> Result:
    times = Timings(latency_ms=10.0, head_ms=4.0, tail_ms=5.0)
    budget = Budget(latency_ms=cap_ms)
    return arrived(changed(measured=times, budget=budget, budget_met=True, unmet=(), why="", degraded=False))


def test_what_the_client_took_itself_is_named(changed: Callable[..., Result]) -> None:
    result = a_call(changed, 12.0)
    assert add_waiting(result, 0.015) == 5.0
    assert (result.measured.latency_ms, result.measured.client_ms, result.measured.other_ms) == (15.0, 5.0, 1.0)
    assert (result.budget_met, result.unmet, result.why) == (
        False,
        ("latency",),
        "5 ms of the latency passed outside collabd",
    )


def test_the_longest_wait_holds_however_often_it_is_told(changed: Callable[..., Result]) -> None:
    result = a_call(changed, None)
    for seconds in (0.015, 0.013, 0.020):
        add_waiting(result, seconds)
    assert (result.measured.latency_ms, result.measured.client_ms) == (20.0, 10.0)
    assert (result.budget_met, result.why) == (True, "")


def test_a_clock_that_is_coarse_takes_nothing_away(changed: Callable[..., Result]) -> None:
    result = a_call(changed, 12.0)
    add_waiting(result, 0.009)
    assert (result.measured.latency_ms, result.measured.client_ms, result.budget_met) == (10.0, 0.0, True)


def test_other_caps_that_were_missed_stay(changed: Callable[..., Result]) -> None:
    missed = changed(
        budget=Budget(latency_ms=1.0), measured=Timings(latency_ms=0.5), budget_met=False, unmet=("cost",), why="late"
    )
    result = arrived(missed)
    for seconds in (0.002, 0.003):
        add_waiting(result, seconds)
    assert result.unmet == ("latency", "cost")
    assert result.why == "late; 2 ms of the latency passed outside collabd"


def test_phases_add_up_to_the_latency(changed: Callable[..., Result]) -> None:
    result = a_call(changed, None)
    add_resending(result, 0.001)
    add_waiting(result, 0.012)
    measured = result.measured
    assert (measured.client_ms, measured.latency_ms, measured.other_ms) == (3.0, 12.0, 0.0)
    assert sum(getattr(measured, f"{phase}_ms") or 0 for phase in PHASES) == 12.0
    assert Timings(head_ms=1.0).other_ms is None
