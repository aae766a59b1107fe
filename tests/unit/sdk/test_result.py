"""A result and its form on the wire."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from collab_sdk import Budget, Plan, Predicted, ProtocolError, Result, Timings, wire
from collab_sdk.answers import Classification, Legend
from collab_sdk.result import ReceivedAnswer, decode_result, encode_result
from collab_sdk.vocabulary import Cap, EnergySource, Objective, Reason
from collab_sdk.wire import InferResponse, Tensor
from tests.unit.sdk.conftest import sent_on


def sent(response: InferResponse, *, binary: bool = True) -> ReceivedAnswer:
    message = wire.encode_response(response, binary)
    return ReceivedAnswer(message.body(), wire.header_length(message.headers))


def saying(result: Result, **parameters: Any) -> bytes:
    """The result in JSON, with other parameters."""
    said = json.loads(wire.encode_response(encode_result(result), binary=False).body())
    said["parameters"] |= parameters
    return json.dumps(said).encode()


def same(one: Result, other: Result) -> bool:
    """An answer has arrays, so that results have no == of their own."""
    plain = [item.name for item in fields(Result) if item.name != "answer"]
    return all(getattr(one, name) == getattr(other, name) for name in plain) and bool(
        (one.scores == other.scores).all()
    )


def test_a_result_arrives_as_it_left(result: Result) -> None:
    response = encode_result(result, "42")

    assert (response.model_name, response.id) == ("net", "42")
    for binary in (True, False):
        assert same(decode_result(sent(response, binary=binary), Legend(result.labels)), result)


def test_the_scores_are_the_callers_own(result: Result) -> None:
    for number in range(8):
        got = decode_result(sent(encode_result(replace(result, why="x" * number))), Legend(result.labels))
        assert got.scores.flags.writeable
        assert got.scores.flags.aligned
        np.testing.assert_array_equal(got.scores, result.scores)


def test_a_local_result_arrives_as_it_left(result: Result, changed: Callable[..., Result]) -> None:
    plan = Plan(cut="local", codec="none", placement="DDD", cloud=None, reason="")
    local = changed(
        plan=plan, predicted=Predicted(), measured=Timings(), unmet=(), budget_met=True, fidelity=None, why=""
    )

    assert same(decode_result(sent(encode_result(local)), Legend(local.labels)), local)


def test_the_wire_keys_are_those_that_were_agreed(result: Result) -> None:
    assert encode_result(result).parameters == {
        "digest": "sha256:1",
        "task": "classify",
        "plan.cut": "pool2",
        "plan.codec": "q8",
        "plan.placement": "DDC",
        "plan.cloud": "pc",
        "plan.reason": "fastest in budget",
        "plan.precision": "fp32",
        "predicted.latency_ms": 12.5,
        "predicted.head_ms": 3.0,
        "predicted.energy_mj": 31.0,
        "predicted.cost": 0.001,
        "measured.latency_ms": 13,
        "measured.queue_ms": 0.0,
        "measured.tail_ms": 2.25,
        "energy_mj": 30.5,
        "energy_source": "modelled",
        "cost": 0.002,
        "fidelity": 0.995,
        "bytes_up": 955,
        "bytes_down": 60,
        "budget_met": False,
        "unmet": "latency,cost",
        "degraded": True,
        "why": "pc timed out, the device ran the tail",
        "ran": "DDD",
    }


def test_an_unbounded_prediction_is_left_out(changed: Callable[..., Result]) -> None:
    endless = changed(predicted=Predicted(latency_ms=float("inf"), head_ms=1.0))

    assert decode_result(sent(encode_result(endless)), Legend(endless.labels)).predicted == Predicted(head_ms=1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"why": "x"},
            "dog 0.50 · 13 ms, cut pool2 q8, pc, finished on the device · missed latency, cost of 10ms · degraded: x",
        ),
        (
            {"ran": "DDC", "unmet": (), "degraded": False, "why": "", "budget": Budget(latency_ms=10, cost=0.001)},
            "dog 0.50 · 13 ms, cut pool2 q8, pc · within 10ms, cost 0.001",
        ),
        (
            {
                "ran": "DDC",
                "unmet": (),
                "degraded": False,
                "why": "waited 2.0 s",
                "budget": Budget(objective=Objective.ENERGY),
            },
            "dog 0.50 · 13 ms, cut pool2 q8, pc · waited 2.0 s",
        ),
        (
            {"ran": "DDC", "ran_on": "spare", "unmet": (), "budget": Budget(), "why": "pc failed"},
            "dog 0.50 · 13 ms, cut pool2 q8, pc, finished by spare · degraded: pc failed",
        ),
        (
            {"unmet": ("fidelity",), "budget": Budget(), "degraded": False, "why": ""},
            "dog 0.50 · 13 ms, cut pool2 q8, pc, finished on the device · missed fidelity",
        ),
        (
            {
                "plan": Plan(cut="output", codec="none", placement="DDD", cloud=None, reason=""),
                "unmet": (),
                "degraded": False,
                "why": "",
                "budget": Budget(),
                "measured": Timings(latency_ms=4.25),
            },
            "dog 0.50 · 4.2 ms, all on the device",
        ),
        (
            {
                "plan": Plan(cut="pool2", codec="q8", placement="DDC", cloud="pc", reason="", precision="int8/fp32"),
                "ran": "DDC",
                "unmet": (),
                "degraded": False,
                "why": "",
                "budget": Budget(),
            },
            "dog 0.50 · 13 ms, int8/fp32, cut pool2 q8, pc",
        ),
        (
            {
                "plan": Plan(cut="DCD", codec="f32", placement="DCD", cloud="pc", reason=""),
                "ran": "DCD",
                "unmet": (),
                "degraded": False,
                "why": "",
                "budget": Budget(latency_ms=80),
                "measured": Timings(latency_ms=1234.5),
            },
            "dog 0.50 · 1234 ms, several cuts f32, pc · within 80ms",
        ),
    ],
)
def test_as_text_it_is_one_line_that_leads_with_the_answer(
    changed: Callable[..., Result], changes: dict[str, Any], said: str
) -> None:
    assert str(changed(**({"budget": Budget(latency_ms=10)} | changes))) == said


def test_top_gives_the_best_first(result: Result) -> None:
    assert (result.label, result.score) == ("dog", 0.5)
    assert result.top(2) == [("dog", 0.5), ("cat", 0.25)]
    assert [label for label, _ in result.top(9)] == ["dog", "cat", "ship"]
    assert result.top(0) == []
    assert result.top(-1) == []


def test_a_newer_daemons_additions_are_ignored(result: Result) -> None:
    response = encode_result(result)
    response.parameters |= {"plan.colour": "red", "novelty": 1, "bytes_up": 7}

    got = decode_result(sent(response), Legend(result.labels))

    assert (got.bytes_up, got.plan) == (7, result.plan)


def test_the_words_of_an_answer_are_those_of_the_vocabulary(changed: Callable[..., Result]) -> None:
    plan = Plan(cut="pool2", codec="q8", placement="DDC", cloud="pc", reason=Reason.NEAREST)
    sent_one = changed(plan=plan, energy_source=EnergySource.MEASURED, unmet=(Cap.LATENCY,))

    got = decode_result(sent(encode_result(sent_one)), Legend(sent_one.labels))

    assert got.plan.reason is Reason.NEAREST
    assert got.energy_source is EnergySource.MEASURED
    assert got.unmet[0] is Cap.LATENCY


def test_the_words_of_a_newer_daemon_stay_text(result: Result) -> None:
    response = encode_result(result)
    response.parameters |= {
        "plan.reason": "foreseen",
        "energy_source": "learned",
        "unmet": "latency,carbon\x1b[2J",
    }

    got = decode_result(sent(response), Legend(result.labels))

    assert (got.plan.reason, got.energy_source, got.unmet) == ("foreseen", "learned", ("latency", "carbon"))
    assert "missed latency, carbon" in str(got)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("digest", 3),
        ("task", None),
        ("image_width", 1.5),
        ("plan.cut", None),
        ("plan.placement", 1.5),
        ("measured.head_ms", "3"),
        ("measured.head_ms", True),
        ("energy_mj", "much"),
        ("energy_source", 3),
        ("plan.reason", None),
        ("bytes_up", 1.5),
        ("bytes_up", True),
        ("budget_met", 1),
        ("unmet", 1),
        ("bytes_up", 10**400),
        ("measured.head_ms", 10**400),
        ("cost", [0.5]),
    ],
)
def test_a_part_of_another_type_is_a_protocol_error(result: Result, key: str, value: Any) -> None:
    with pytest.raises(ProtocolError, match=f"cannot read the daemon's answer: parameter '{key}'"):
        ReceivedAnswer(saying(result, **{key: value}), None)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_that_is_none_is_a_protocol_error(result: Result, number: str) -> None:
    body = saying(result, cost="NUMBER").replace(b'"NUMBER"', number.encode())
    with pytest.raises(ProtocolError, match="cannot read the daemon's answer"):
        ReceivedAnswer(body, None)


def test_an_answer_of_another_form_is_looked_at_anew(result: Result) -> None:
    for changes in ({}, {"cost": 0}, {"fidelity": None}, {"unmet": None}, {"more": [1, {}]}, {}):
        got = decode_result(ReceivedAnswer(saying(result, **changes), None), Legend(result.labels))
        assert (got.cost, got.fidelity) == (changes.get("cost", result.cost), changes.get("fidelity", 0.995) and 0.995)
        assert isinstance(got.cost, float)
        assert got.unmet == (() if "unmet" in changes else result.unmet)


def test_a_part_that_is_not_read_is_not_made(result: Result) -> None:
    got = decode_result(sent(encode_result(result)), Legend(result.labels))
    assert (got.label, "plan" in vars(got)) == ("dog", False)

    assert got.plan == result.plan
    assert got.plan is got.plan
    assert not hasattr(got, "colour")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, sent_on, replace])
def test_a_copy_of_an_answer_is_whole(result: Result, copied: Callable[[Result], Result]) -> None:
    got = decode_result(sent(encode_result(result)), Legend(result.labels))
    assert same(copied(got), result)
    assert repr(copied(got)) == repr(got)


@pytest.mark.parametrize("gone", ["digest", "energy_mj", "budget_met", "plan.reason", "ran"])
def test_a_missing_part_is_a_protocol_error(result: Result, gone: str) -> None:
    response = encode_result(result)
    del response.parameters[gone]

    with pytest.raises(ProtocolError, match=f"parameter '{gone}' is missing"):
        sent(response)


@pytest.mark.parametrize(
    "output",
    [
        Tensor.from_array("scores", np.ones((1, 2), np.float32)),
        Tensor.from_array("scores", np.ones(3, np.float32)),
        Tensor.from_array("scores", np.ones((1, 3), np.float64)),
        Tensor.from_array("logits", np.ones((1, 3), np.float32)),
        Tensor("scores", "FP32", (1, 3), data=b"abc", parameters={"codec": "q8"}),
    ],
)
def test_scores_that_do_not_fit_the_labels_are_a_protocol_error(result: Result, output: Tensor) -> None:
    response = encode_result(result)
    response.outputs = [output]

    with pytest.raises(ProtocolError, match="scores"):
        decode_result(sent(response), Legend(result.labels))


def test_scores_that_are_cut_short_are_a_protocol_error(result: Result) -> None:
    message = wire.encode_response(encode_result(result), binary=True)
    for body in (message.body()[:-1], message.body() + b"\0"):
        with pytest.raises(ProtocolError, match="cannot read the daemon's answer"):
            decode_result(ReceivedAnswer(body, wire.header_length(message.headers)), Legend(result.labels))


def test_a_model_without_classes_is_a_protocol_error(changed: Callable[..., Result]) -> None:
    response = encode_result(changed(answer=Classification(np.ones(0, np.float32), ())))

    with pytest.raises(ProtocolError, match="scores"):
        decode_result(sent(response), Legend(()))
