"""What the client asks of a daemon, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, get_type_hints

import numpy as np
import pytest

from collab_sdk._default import SharedClient
from collab_sdk.aio import AsyncClient
from collab_sdk.answers import Classification
from collab_sdk.budget import Budget
from collab_sdk.client import Client, InferOptions
from collab_sdk.control import ControlClient
from collab_sdk.errors import (
    BudgetInfeasible,
    InvalidBudget,
    InvalidRequest,
    InvalidTensor,
    ProtocolError,
    UnknownModel,
)
from collab_sdk.result import Result, Timings
from collab_sdk.transport import DaemonReply, DaemonRequest
from tests.patience import PATIENCE_S, PROGRAM_S, reached
from tests.served import ServedDaemon
from tests.unit.sdk.conftest import ScriptedDaemon, answer_with, as_json, inference, is_inference

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import HandClock

IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.fixture
def client(daemon: ScriptedDaemon) -> Client:
    return Client(timeout_s=10, transport=daemon)


def test_infer_returns_the_daemons_answer(client: Client, daemon: ScriptedDaemon, result: Result) -> None:
    got = client.infer(IMAGE, "80ms")

    assert (got.label, got.plan, got.unmet, got.budget) == ("dog", result.plan, result.unmet, Budget(latency_ms=80))
    assert (got.measured.latency_ms or 0) >= (result.measured.latency_ms or 0)
    assert got.measured.tail_ms == result.measured.tail_ms
    np.testing.assert_array_equal(got.scores, result.scores)
    asked = inference(daemon.requests[0])
    np.testing.assert_array_equal(asked.inputs[0].to_array(), IMAGE)
    assert daemon.paths() == ["POST /v2/models/_default/infer", "GET /v2/models/net"]


def test_only_what_was_asked_for_travels(client: Client, daemon: ScriptedDaemon) -> None:
    client.infer(IMAGE)
    client.infer(
        IMAGE,
        0.002,
        model="net",
        cut="pool2",
        placement="DDC",
        codec="q8",
        precision="int8",
        pin_first=0,
        pin_last=3,
        fallback="never-leave",
        on_infeasible="fail",
    )

    first, _, second = daemon.requests
    assert inference(first).parameters == {"binary_data_output": True}
    assert second.url == "/v2/models/net/infer"
    assert inference(second).parameters == {
        "binary_data_output": True,
        "budget": "cost 0.002",
        "cut": "pool2",
        "placement": "DDC",
        "codec": "q8",
        "precision": "int8",
        "pin_first": 0,
        "pin_last": 3,
        "fallback": "never-leave",
        "on_infeasible": "fail",
    }


def test_a_bad_call_never_reaches_the_daemon(client: Client, daemon: ScriptedDaemon) -> None:
    with pytest.raises(InvalidBudget):
        client.infer(IMAGE, "80 parsecs")
    for timeout_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidRequest, match="timeout_s"):
            client.infer(IMAGE, timeout_s=timeout_s)
    assert daemon.requests == []


async def test_a_camera_is_named_once_or_for_a_call(daemon: ScriptedDaemon) -> None:
    frame = np.zeros((2, 2, 4), np.uint8)
    with Client(transport=daemon, channels="bgrx") as client:
        client.infer(frame)
        client.infer(frame, channels="rgbx")
        client.infer(IMAGE, channels="rgb")
        assert len(list(client.stream([frame]))) == len(list(client.stream([frame], channels="rgbx"))) == 1
        with pytest.raises(InvalidTensor, match=r"expected \[height, width, 4\]"):
            client.infer(IMAGE)
    async with AsyncClient(transport=daemon, channels="bgrx") as asynchronous:
        await asynchronous.infer(frame)
        assert [result.label async for result in asynchronous.stream([frame], channels="rgbx")] == ["dog"]
    sent = [call.channels for call in daemon.calls]
    assert sent == ["bgrx", "rgbx", "rgb", "bgrx", "rgbx", "bgrx", "rgbx"]
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidTensor, match="one of rgb"):
            kind(channels="rgba")


def test_a_models_name_cannot_leave_its_place_in_the_url(client: Client, daemon: ScriptedDaemon) -> None:
    def refuse(asked: DaemonRequest) -> DaemonReply:
        raise UnknownModel("no such model")

    daemon.script = refuse
    for call in (lambda name: client.infer(IMAGE, model=name), client.profile, client.layers, client.unload_model):
        with pytest.raises(UnknownModel, match="no such model"):
            call("../a b?c")
    assert [asked.url.partition("?")[0] for asked in daemon.requests] == [
        "/v2/models/..%2Fa%20b%3Fc/infer",
        "/collab/v1/profile/..%2Fa%20b%3Fc",
        "/collab/v1/models/..%2Fa%20b%3Fc",
        "/collab/v1/models/..%2Fa%20b%3Fc",
    ]


def test_labels_are_fetched_once_a_digest(
    client: Client, daemon: ScriptedDaemon, result: Result, changed: Callable[..., Result]
) -> None:
    assert [client.infer(IMAGE).label for _ in range(3)] == ["dog"] * 3
    assert daemon.paths().count("GET /v2/models/net") == 1

    daemon.script = answer_with(changed(digest="sha256:2", answer=Classification(result.scores, ("a", "b", "c"))))

    assert [client.infer(IMAGE).label for _ in range(2)] == ["b"] * 2
    assert daemon.paths().count("GET /v2/models/net") == 2


def test_labels_of_long_ago_are_forgotten(
    client: Client, daemon: ScriptedDaemon, changed: Callable[..., Result]
) -> None:
    for number in range(70):
        daemon.script = answer_with(changed(digest=f"sha256:{number}"))
        client.infer(IMAGE)
    assert len(client._legends) == 64
    client.infer(IMAGE)
    assert daemon.paths().count("GET /v2/models/net") == 70


def test_a_model_replaced_during_the_call_is_asked_again(
    client: Client, daemon: ScriptedDaemon, result: Result, changed: Callable[..., Result]
) -> None:
    old, new = (
        answer_with(result),
        answer_with(changed(digest="sha256:2", answer=Classification(result.scores, ("a", "b", "c")))),
    )

    def replace_after_the_first(asked: DaemonRequest) -> DaemonReply:
        return old(asked) if len(daemon.requests) == 1 else new(asked)

    daemon.script = replace_after_the_first

    assert client.infer(IMAGE).label == "b"

    daemon.script = lambda asked: (answer_with(changed(digest="sha256:3")) if is_inference(asked) else new)(asked)
    with pytest.raises(ProtocolError, match="was replaced during every try"):
        client.infer(IMAGE)


def test_a_refusal_arrives_as_its_class_with_its_figures(client: Client, daemon: ScriptedDaemon) -> None:
    def refuse(asked: DaemonRequest) -> DaemonReply:
        raise BudgetInfeasible("no plan fits", {"latency_ms": 91.5})

    daemon.script = refuse

    with pytest.raises(BudgetInfeasible, match="no plan fits") as caught:
        client.infer(IMAGE, "1ms", on_infeasible="fail")
    assert caught.value.details == {"latency_ms": 91.5}


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"parameters": {"digest": "sha256:1", "labels": [1, 2, 3]}}'])
def test_an_answer_that_is_not_collabds_is_a_protocol_error(
    client: Client, daemon: ScriptedDaemon, body: bytes
) -> None:
    answer = daemon.script
    daemon.script = lambda asked: answer(asked) if is_inference(asked) else DaemonReply(200, body)
    with pytest.raises(ProtocolError):
        client.infer(IMAGE)

    daemon.script = lambda _: DaemonReply(200, body)
    with pytest.raises(ProtocolError):
        client.infer(IMAGE)


async def test_the_async_client_does_the_same(daemon: ScriptedDaemon, result: Result) -> None:
    async with AsyncClient(timeout_s=10, transport=daemon) as client:
        got = await asyncio.gather(client.infer(IMAGE, model="net"), client.infer(IMAGE, "80ms"))
        assert [one.plan for one in got] == [result.plan] * 2
        with pytest.raises(InvalidBudget):
            await client.infer(IMAGE, "soon")

        daemon.script = lambda _: as_json({"models": [{"name": "net", "profiled": True}]})
        assert await client.models() == [{"name": "net", "profiled": True}]
        assert await client.ready()
        await client.wait(profiled=True)
        before = len(daemon.requests)
        for call in (
            client.status(),
            client.config(),
            client.profile("net"),
            client.layers("net"),
            client.load_model("/p"),
        ):
            assert await call
        await client.unload_model("net")
        assert len(daemon.requests) == before + 6


async def test_calls_that_wait_hold_up_nothing_else_in_the_threads_of_the_loop(daemon: ScriptedDaemon) -> None:
    answered, answer = threading.Event(), daemon.script

    def held(request: DaemonRequest) -> DaemonReply:
        reached(answered)
        return answer(request)

    daemon.script = held
    async with AsyncClient(timeout_s=PATIENCE_S, transport=daemon) as client:
        # More than the loop has threads.
        calls = [asyncio.create_task(client.infer(IMAGE)) for _ in range(40)]
        await asyncio.sleep(0)
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        assert not any(call.done() for call in calls)
        answered.set()
        await asyncio.gather(*calls)


async def test_a_client_that_was_closed_calls_anew(daemon: ScriptedDaemon, result: Result) -> None:
    client = AsyncClient(timeout_s=10, transport=daemon)
    await client.infer(IMAGE)
    client.close()
    assert (await client.infer(IMAGE)).plan == result.plan
    client.close()


def test_the_three_ways_to_call_cannot_drift_apart() -> None:
    parameters = inspect.signature(Client.infer).parameters.values()
    hints = get_type_hints(Client.infer)
    options = {each.name: hints[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert get_type_hints(InferOptions) == options

    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_") and name not in {"infer", "stream"}:
            assert inspect.signature(method) == inspect.signature(getattr(AsyncClient, name)), name


def test_a_socket_or_a_transport(daemon: ScriptedDaemon) -> None:
    for kind in (ControlClient, Client, AsyncClient):
        with pytest.raises(InvalidRequest, match="not both"):
            kind("/run/sock", transport=daemon)


def test_time_is_that_of_the_clock(daemon: ScriptedDaemon, clock: HandClock, changed: Callable[..., Result]) -> None:
    answer = answer_with(changed(measured=Timings(latency_ms=3.0)))

    def slowly(request: DaemonRequest) -> DaemonReply:
        clock.now += 0.5 if is_inference(request) else 0.25
        return answer(request)

    daemon.script = slowly
    client = Client(timeout_s=10, transport=daemon, clock=clock)
    assert [client.infer(IMAGE).measured.latency_ms for _ in range(2)] == [750.0, 500.0]


def test_one_client_is_made_for_all_threads(daemon: ScriptedDaemon) -> None:
    together, made = threading.Barrier(4, timeout=PATIENCE_S), []

    def slow_to_make() -> Client:
        made.append(Client(transport=daemon))
        time.sleep(0.05)
        return made[-1]

    shared = SharedClient(slow_to_make)

    def ask(_: int) -> Client:
        together.wait()
        return shared()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == set(made)
    assert len(made) == 1


def test_infer_asks_the_daemon_of_the_environment(served: ServedDaemon) -> None:
    code = "import collab_sdk; print(collab_sdk.infer(b'a JPEG').label)"
    environment = {"COLLABD_SOCKET": str(served.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PROGRAM_S)
    assert done.stdout == "dog\n"
