"""A reply as the SDK reads it: the answer to a call, or an error's body."""

from __future__ import annotations

import math

import numpy as np

from collab_sdk import wire
from collab_sdk.answers import Classification, Legend
from collab_sdk.errors import BudgetInfeasible, CollabError, ProtocolError
from collab_sdk.result import Plan, Predicted, ReceivedAnswer, Result, Timings, decode_result, encode_result
from collab_sdk.wire import InferResponse, WireError
from tests.fuzz import message
from tests.fuzz.tiny import LABELS

WORDS = (
    *("outputs", "model_name", "model_version", "parameters", "scores", "FP32", "plan.cut", "plan.reason", "error"),
    *("predicted.latency_ms", "measured.latency_ms", "budget_met", "unmet", "digest", "code", "details", "overloaded"),
)


def check(data: bytes) -> None:
    """The decoders raise `WireError` and `ProtocolError` alone; an error's body becomes an error, whatever it says."""
    headers, body = message.split(data)
    assert isinstance(wire.decode_error(503, body), CollabError)
    try:
        response = wire.decode_response(body, wire.header_length(headers))
    except WireError:
        return
    again = wire.encode_response(response, binary=True)
    assert wire.decode_response(again.body(), wire.header_length(again.headers)) == response
    try:
        result = decode_result(ReceivedAnswer(body, wire.header_length(headers)), Legend(LABELS))
    except ProtocolError:
        return
    assert result.scores.shape == (len(LABELS),)
    assert result.measured.latency_ms is None or math.isfinite(result.measured.latency_ms)


def seeds() -> list[bytes]:
    """An answer in binary and in JSON, and errors."""
    result = _result()
    answers = [wire.encode_response(encode_result(result, "7"), binary) for binary in (True, False)]
    bare = wire.encode_response(
        InferResponse("tiny", "1", [], id="", parameters={"queue_ms": 0.5, "batch": 1}), binary=True
    )
    infeasible = BudgetInfeasible("no plan", {"cut": "conv", "latency_ms": 81.5})
    return [*map(message.joined, (*answers, bare)), b"\n" + wire.encode_error(infeasible), b"\n<html>502</html>"]


def _result() -> Result:
    return Result(
        model="tiny",
        digest="sha256:" + "a" * 64,
        task="classify",
        answer=Classification(np.array([0.25, 0.75], np.float32), LABELS),
        plan=Plan(cut="conv", codec="q8", placement="DCC", cloud="pc", reason="best"),
        predicted=Predicted(latency_ms=10.0),
        measured=Timings(latency_ms=12.0, head_ms=2.5),
        energy_mj=30.5,
        energy_source="modelled",
        cost=0.01,
        fidelity=0.99,
        bytes_up=400,
        bytes_down=300,
        budget_met=False,
        unmet=("latency",),
        degraded=False,
        why="",
        ran="DCC",
    )
