"""What an application can test without a daemon."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collab_sdk import (
    AsyncClient,
    BudgetInfeasible,
    Channels,
    Client,
    ControlClient,
    DaemonUnavailable,
    Fallback,
    InvalidBudget,
    MockTransport,
    Overloaded,
    Reason,
    Result,
    mock,
)
from collab_sdk.mock import InferCall, mock_result
from collab_sdk.transport import ConnectionBroke, DaemonReply, DaemonRequest
from tests.unit.sdk.conftest import HandClock

CAT, DOG = mock_result({"cat": 0.75, "dog": 0.25}), mock_result({"cat": 0.25, "dog": 0.75})
FRAME = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(mock).attempted > 4


def test_answers_come_one_after_another_and_the_last_ever_again() -> None:
    client = Client(transport=MockTransport.answering(CAT, DOG))
    assert [client.infer(b"a JPEG").label for _ in range(3)] == ["cat", "dog", "dog"]


def test_a_result_arrives_with_all_that_was_set() -> None:
    told = mock_result(
        {"cat": 1.0}, degraded=True, why="pc timed out", unmet=("latency",), budget_met=False, bytes_up=955
    )
    got = Client(transport=MockTransport.answering(told)).infer(b"a JPEG", "80ms")
    assert (got.degraded, got.why, got.unmet, got.budget_met, got.bytes_up) == (
        *(True, "pc timed out", ("latency",), False, 955),
    )
    assert (got.plan.reason, got.budget.latency_ms) == (Reason.CHOSEN, 80)
    assert got.scores.dtype == np.float32


def test_models_of_other_labels_are_told_apart() -> None:
    client = Client(transport=MockTransport.answering(CAT, mock_result({"a": 0.1, "b": 0.2, "c": 0.7})))
    assert [client.infer(b"a JPEG").top(1) for _ in range(2)] == [[("cat", 0.75)], [("c", pytest.approx(0.7))]]


@pytest.mark.parametrize("kind", [DaemonUnavailable, BudgetInfeasible, Overloaded])
def test_an_error_is_raised_with_its_figures_at_each_of_its_turns(
    kind: type[DaemonUnavailable | BudgetInfeasible | Overloaded],
) -> None:
    client = Client(transport=MockTransport.answering(CAT, kind("not now", {"latency_ms": 91.5})))
    assert client.infer(b"a JPEG").label == "cat"
    for _ in range(2):
        with pytest.raises(kind, match="not now") as caught:
            client.infer(b"a JPEG")
        assert caught.value.details == {"latency_ms": 91.5}


def test_what_the_application_sent() -> None:
    transport = MockTransport.answering(CAT)
    client = Client(transport=transport)
    client.infer(FRAME, "80ms, min-energy", model="a b", fallback=Fallback.NEVER_LEAVE, pin_first=2, channels="bgr")
    client.infer(b"a JPEG", on_infeasible="fail")

    first, second = transport.calls
    np.testing.assert_array_equal(first.image, FRAME)
    assert (first.channels, first.model, str(first.budget)) == (Channels.BGR, "a b", "80ms,min-energy")
    assert first.options == {"fallback": "never-leave", "pin_first": 2}
    assert (second.image, second.channels, second.model, str(second.budget), second.options) == (
        *(b"a JPEG", Channels.RGB, None, ""),
        {"on_infeasible": "fail"},
    )


def test_an_image_is_what_travels(tmp_path: Path) -> None:
    transport = MockTransport.answering(CAT)
    client, frame = Client(transport=transport), FRAME.copy()
    (tmp_path / "cat.jpg").write_bytes(b"a JPEG")
    client.infer(tmp_path / "cat.jpg")
    client.infer(Image.fromarray(FRAME))
    client.infer(frame)
    frame[:] = 0  # as a camera does that fills its buffer anew

    assert transport.calls[0].image == b"a JPEG"
    for call in transport.calls[1:]:
        np.testing.assert_array_equal(call.image, FRAME)


def test_an_answer_may_depend_on_the_call() -> None:
    def by_image(call: InferCall) -> Result:
        return CAT if call.image == b"a cat" else DOG

    client = Client(transport=MockTransport.answering(by_image))
    assert [client.infer(image).label for image in (b"a cat", b"a dog", b"a cat")] == ["cat", "dog", "cat"]
    assert [result.label for result in client.stream([b"a dog", b"a cat"] * 4)] == ["dog", "cat"] * 4


async def test_the_async_client_takes_the_same_transport() -> None:
    transport = MockTransport.answering(CAT, DOG)
    async with AsyncClient(transport=transport) as client:
        assert (await client.infer(b"a JPEG", "80ms")).label == "cat"
        assert [result.label async for result in client.stream([b"a JPEG"] * 2)] == ["dog", "dog"]
    assert [str(call.budget) for call in transport.calls] == ["80ms", "max-throughput", "max-throughput"]


def test_a_bad_call_reaches_no_transport() -> None:
    transport = MockTransport.answering(CAT)
    with pytest.raises(InvalidBudget):
        Client(transport=transport).infer(b"a JPEG", "80 parsecs")
    assert transport.calls == []


def test_it_is_ready_and_knows_no_more() -> None:
    client = ControlClient(transport=MockTransport.answering(CAT))
    client.wait(timeout_s=1)
    assert client.ready()
    for ask in (client.status, client.models, lambda: client.layers("net")):
        with pytest.raises(LookupError, match=r"has no answer to GET /collab/v1/.*: give a handler"):
            ask()
    with pytest.raises(ValueError, match="at least one"):
        MockTransport.answering()


def test_a_handler_answers_everything() -> None:
    def handler(request: DaemonRequest) -> DaemonReply:
        return DaemonReply(200, b'{"models": [{"name": "net"}]}' if request.method == "GET" else b"{}")

    transport = MockTransport(handler)
    client = ControlClient(transport=transport)
    assert client.models()[0]["name"] == "net"
    client.unload_model("net")
    assert [request.method for request in transport.requests] == ["GET", "DELETE"]


def test_a_daemon_that_restarts_costs_no_time_of_a_test(clock: HandClock) -> None:
    answering = MockTransport.answering(CAT)

    def restarting(request: DaemonRequest) -> DaemonReply:
        if len(transport.requests) == 1:
            raise ConnectionBroke("it restarts")
        if clock.now < 1030:
            raise DaemonUnavailable("it restarts")
        return answering.send(request, timeout_s=1)

    transport = MockTransport(restarting)
    result = Client(transport=transport, clock=clock).infer(b"a JPEG", "60s")
    assert 30e3 <= (result.measured.latency_ms or 0) < 31e3
    assert "until collabd accepted it" in result.why
