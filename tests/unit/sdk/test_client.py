"""What the client asks of a real server on a real socket, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import pytest

import collab_sdk
from collab_sdk import _default
from collab_sdk.aio import AsyncClient
from collab_sdk.budget import Budget
from collab_sdk.client import Client, InferOptions
from collab_sdk.errors import (
    BudgetInfeasible,
    InvalidBudget,
    InvalidRequest,
    InvalidTensor,
    ProtocolError,
    UnknownModel,
)
from collab_sdk.result import Result

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Answer, Asked, LittleDaemon

IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.fixture
def client(daemon: LittleDaemon) -> Iterator[Client]:
    with Client(daemon.path, timeout_s=10) as client:
        yield client


def test_infer_returns_the_daemons_answer(client: Client, daemon: LittleDaemon, result: Result) -> None:
    got = client.infer(IMAGE, "80ms")

    assert (got.label, got.plan, got.unmet, got.budget) == ("dog", result.plan, result.unmet, Budget(80))
    assert (got.measured.latency_ms or 0) >= (result.measured.latency_ms or 0)
    assert got.measured.tail_ms == result.measured.tail_ms
    np.testing.assert_array_equal(got.scores, result.scores)
    asked = daemon.asked[0].infer()
    np.testing.assert_array_equal(asked.inputs[0].to_array(), IMAGE)
    assert daemon.paths() == ["POST /v2/models/_default/infer", "GET /v2/models/net"]


def test_only_what_was_asked_for_travels(client: Client, daemon: LittleDaemon) -> None:
    client.infer(IMAGE)
    client.infer(
        IMAGE,
        0.002,
        model="net",
        cut="pool2",
        placement="DDC",
        codec="q8",
        pin_first=0,
        pin_last=3,
        fallback="never-leave",
        on_infeasible="fail",
    )

    first, _, second = daemon.asked
    assert first.infer().parameters == {"binary_data_output": True}
    assert second.path == "/v2/models/net/infer"
    assert second.infer().parameters == {
        "binary_data_output": True,
        "budget": "cost 0.002",
        "cut": "pool2",
        "placement": "DDC",
        "codec": "q8",
        "pin_first": 0,
        "pin_last": 3,
        "fallback": "never-leave",
        "on_infeasible": "fail",
    }


def test_a_bad_call_never_reaches_the_daemon(client: Client, daemon: LittleDaemon) -> None:
    with pytest.raises(InvalidBudget):
        client.infer(IMAGE, "80 parsecs")
    for timeout_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidRequest, match="timeout_s"):
            client.infer(IMAGE, timeout_s=timeout_s)
    assert daemon.asked == []


async def test_a_camera_is_named_once_or_for_a_call(daemon: LittleDaemon) -> None:
    frame = np.zeros((2, 2, 4), np.uint8)
    with Client(daemon.path, timeout_s=10, channels="bgrx") as client:
        client.infer(frame)
        client.infer(frame, channels="rgbx")
        client.infer(IMAGE, channels="rgb")
        assert len(list(client.stream([frame]))) == len(list(client.stream([frame], channels="rgbx"))) == 1
        with pytest.raises(InvalidTensor, match=r"expected \[height, width, 4\]"):
            client.infer(IMAGE)
    async with AsyncClient(daemon.path, timeout_s=10, channels="bgrx") as asynchronous:
        await asynchronous.infer(frame)
        assert [result.label async for result in asynchronous.stream([frame], channels="rgbx")] == ["dog"]
    sent = [asked.infer().inputs[0].parameters.get("channels") for asked in daemon.asked if asked.body]
    assert sent == ["bgrx", "rgbx", None, "bgrx", "rgbx", "bgrx", "rgbx"]
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidTensor, match="one of rgb"):
            kind(daemon.path, channels="rgba")  # type: ignore[arg-type]


def test_a_models_name_cannot_leave_its_place_in_the_url(client: Client, daemon: LittleDaemon) -> None:
    def refuse(asked: Asked) -> Answer:
        raise UnknownModel("no such model")

    daemon.script = refuse
    for call in (lambda name: client.infer(IMAGE, model=name), client.profile, client.layers, client.unload_model):
        with pytest.raises(UnknownModel, match="no such model"):
            call("../a b?c")
    assert [asked.path.partition("?")[0] for asked in daemon.asked] == [
        "/v2/models/..%2Fa%20b%3Fc/infer",
        "/collab/v1/profile/..%2Fa%20b%3Fc",
        "/collab/v1/models/..%2Fa%20b%3Fc",
        "/collab/v1/models/..%2Fa%20b%3Fc",
    ]


def test_labels_are_fetched_once_a_digest(client: Client, daemon: LittleDaemon, changed: Callable[..., Result]) -> None:
    assert [client.infer(IMAGE).label for _ in range(3)] == ["dog"] * 3
    assert daemon.paths().count("GET /v2/models/net") == 1

    daemon.script = daemon.answer_with(changed(digest="sha256:2", labels=("a", "b", "c")))

    assert [client.infer(IMAGE).label for _ in range(2)] == ["b"] * 2
    assert daemon.paths().count("GET /v2/models/net") == 2


def test_labels_of_long_ago_are_forgotten(client: Client, daemon: LittleDaemon, changed: Callable[..., Result]) -> None:
    for number in range(70):
        daemon.script = daemon.answer_with(changed(digest=f"sha256:{number}"))
        client.infer(IMAGE)
    assert len(client._labels) == 64
    client.infer(IMAGE)
    assert daemon.paths().count("GET /v2/models/net") == 70


def test_a_model_replaced_during_the_call_is_asked_again(
    client: Client, daemon: LittleDaemon, result: Result, changed: Callable[..., Result]
) -> None:
    old, new = daemon.answer_with(result), daemon.answer_with(changed(digest="sha256:2", labels=("a", "b", "c")))

    def replace_after_the_first(asked: Asked) -> Answer:
        return old(asked) if len(daemon.asked) == 1 else new(asked)

    daemon.script = replace_after_the_first

    assert client.infer(IMAGE).label == "b"

    daemon.script = lambda asked: (daemon.answer_with(changed(digest="sha256:3")) if asked.body else new)(asked)
    with pytest.raises(ProtocolError, match="was replaced during every try"):
        client.infer(IMAGE)


def test_a_refusal_arrives_as_its_class_with_its_figures(client: Client, daemon: LittleDaemon) -> None:
    def refuse(asked: Asked) -> Answer:
        raise BudgetInfeasible("no plan fits", {"latency_ms": 91.5})

    daemon.script = refuse

    with pytest.raises(BudgetInfeasible, match="no plan fits") as caught:
        client.infer(IMAGE, "1ms", on_infeasible="fail")
    assert caught.value.details == {"latency_ms": 91.5}


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"parameters": {"digest": "sha256:1", "labels": [1, 2, 3]}}'])
def test_an_answer_that_is_not_collabds_is_a_protocol_error(client: Client, daemon: LittleDaemon, body: bytes) -> None:
    answer = daemon.script
    daemon.script = lambda asked: answer(asked) if asked.body else daemon.raw(body)
    with pytest.raises(ProtocolError):
        client.infer(IMAGE)

    daemon.script = lambda _: daemon.raw(body)
    with pytest.raises(ProtocolError):
        client.infer(IMAGE)


def test_threads_get_their_own_answers(client: Client, daemon: LittleDaemon, changed: Callable[..., Result]) -> None:
    def echo(asked: Asked) -> Answer:
        if not asked.body:
            return daemon.answer_with(changed())(asked)
        tag = int(asked.infer().inputs[0].to_array()[0, 0, 0])
        return daemon.answer_with(changed(bytes_up=tag))(asked)

    daemon.script = echo
    images = [np.full((1, 1, 3), tag, np.uint8) for tag in range(60)]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(client.infer, images))

    assert [result.bytes_up for result in got] == list(range(60))
    assert daemon.connections <= 6


async def test_the_async_client_does_the_same(daemon: LittleDaemon, result: Result) -> None:
    async with AsyncClient(daemon.path, timeout_s=10) as client:
        got = await asyncio.gather(client.infer(IMAGE, model="net"), client.infer(IMAGE, "80ms"))
        assert [one.plan for one in got] == [result.plan] * 2
        with pytest.raises(InvalidBudget):
            await client.infer(IMAGE, "soon")

        daemon.script = lambda _: daemon.json({"models": [{"name": "net", "profiled": True}]})
        assert await client.models() == [{"name": "net", "profiled": True}]
        assert await client.ready()
        await client.wait(profiled=True)
        before = len(daemon.asked)
        for call in (
            client.status(),
            client.config(),
            client.profile("net"),
            client.layers("net"),
            client.load_model("/p"),
        ):
            assert await call
        await client.unload_model("net")
        assert len(daemon.asked) == before + 6


def test_the_three_ways_to_call_cannot_drift_apart() -> None:
    parameters = inspect.signature(Client.infer).parameters.values()
    hints = get_type_hints(Client.infer)
    options = {each.name: hints[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert get_type_hints(InferOptions) == options

    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_") and name not in {"infer", "stream"}:
            assert inspect.signature(method) == inspect.signature(getattr(AsyncClient, name)), name


def test_the_module_has_one_client_for_all_threads(
    daemon: LittleDaemon, monkeypatch: pytest.MonkeyPatch, result: Result
) -> None:
    monkeypatch.setenv("COLLABD_SOCKET", str(daemon.path))
    _default._shared_client.cache_clear()
    together = threading.Barrier(4)

    class SlowToMake(Client):
        def __init__(self) -> None:
            time.sleep(0.05)
            super().__init__()

    monkeypatch.setattr(_default, "Client", SlowToMake)

    def call(_: int) -> Any:
        together.wait()
        return collab_sdk.infer(IMAGE, model="net").plan

    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(call, range(4))) == [result.plan] * 4
        assert _default._shared_client.cache_info().misses == 1
    finally:
        _default._client().close()
        _default._shared_client.cache_clear()
