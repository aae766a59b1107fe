"""What a request may ask for besides its tensors: what is ignored, what is refused, and classifications."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collab_sdk.errors import InvalidRequest
from collab_sdk.wire import RequestedOutput, Tensor
from collabd.http.parameters import as_asked, check_outputs, check_parameters, timeout_ms

OURS = ("budget", "cut", "codec", "pin_first", "fallback", "digest")
LABELS = ("cat", "dog", "ship: sailing")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"priority": 1, "sequence_id": 5, "sequence_start": True, "sequence_end": False},
        {"sequence_id": "a", "headers": "x", "triton_enable_empty_final_response": True},
        {"content_type": "np", "cat": 3, "model": "net", "": 0, "x" * 5000: 1},
        {"binary_data_output": False, "timeout": 0},
    ],
)
def test_what_other_clients_add_is_ignored(parameters: dict[str, Any]) -> None:
    check_parameters(parameters, OURS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bugdet", "budget"),
        ("Budget", "budget"),
        ("budgets", "budget"),
        ("pin-first", "pin_first"),
        ("pinfirst", "pin_first"),
        ("fall_back", "fallback"),
        ("time_out", "timeout"),
        ("binary_data_outputs", "binary_data_output"),
    ],
)
def test_what_is_nearly_ours_is_a_slip(name: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{name}' .did you mean '{meant}'"):
        check_parameters({name: "80ms"}, OURS)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"binary_data_output": "yes"}, "binary_data_output must be true or false, not 'yes'"),
        ({"binary_data_output": 1}, "true or false"),
        ({"timeout": "1s"}, "timeout must be a number of microseconds, not '1s'"),
        ({"timeout": 0.5}, "microseconds"),
        ({"timeout": -1}, "microseconds"),
        ({"timeout": True}, "microseconds"),
    ],
)
def test_wrong_types_are_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_parameters(parameters, OURS)


@pytest.mark.parametrize(("parameters", "milliseconds"), [({}, None), ({"timeout": 0}, None), ({"timeout": 1500}, 1.5)])
def test_timeouts_are_microseconds(parameters: dict[str, Any], milliseconds: float | None) -> None:
    assert timeout_ms(parameters) == milliseconds


def outputs(*names: str, **parameters: Any) -> list[RequestedOutput]:
    return [RequestedOutput(name, parameters) for name in names]


def test_outputs_that_can_be_had() -> None:
    check_outputs([], "scores", there=("scores",))
    check_outputs(outputs("scores", binary_data=True, classification=3, other="x"), "scores", there=("scores",))
    check_outputs(outputs("scores", "features.3", classification=0), "scores")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (outputs("nope"), "no output 'nope', only scores"),
        (outputs("scores", "Scores"), "no output 'Scores'"),
        (outputs("scores", "scores"), "'scores' is named twice"),
        (outputs("scores", classification=-1), "classification must be a number of classes, not -1"),
        (outputs("scores", classification="3"), "classification must be a number of classes"),
        (outputs("scores", classification=True), "classification must be a number of classes"),
        (outputs("scores", clasification=3), "did you mean 'classification'"),
        (outputs("scores", binary_data="true"), "binary_data must be true or false"),
        (outputs("scores", shared_memory_region="r"), "outputs come in the answer, not in shared memory"),
    ],
)
def test_outputs_that_cannot(wanted: list[RequestedOutput], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_outputs(wanted, "scores", there=("scores",))


def test_features_are_no_classes() -> None:
    with pytest.raises(InvalidRequest, match="only for the scores of a classifier"):
        check_outputs(outputs("features.3", classification=1), "scores")


SCORES = Tensor.from_array("scores", np.array([[0.25, 0.5, 0.25], [np.nan, -1.5, 1e-9]], np.float32))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_classifications_are_the_best_first_with_value_index_and_label(count: int) -> None:
    (answer,) = as_asked([SCORES], outputs("scores", classification=count), LABELS)
    n = min(count, 3)
    assert (answer.name, answer.datatype, answer.shape) == ("scores", "BYTES", (2, n))
    first = [b"0.500000:1:dog", b"0.250000:0:cat", b"0.250000:2:ship: sailing"]
    second = [b"0.000000:2:ship: sailing", b"-1.500000:1:dog", b"nan:0:cat"]
    assert answer.to_bytes_list() == [*first[:n], *second[:n]]


def test_other_outputs_stay_as_they_are() -> None:
    other = Tensor.from_array("features", np.ones((2, 4), np.float32))
    assert as_asked([other, SCORES], [], LABELS) == [other, SCORES]
    got = as_asked([other, SCORES], [*outputs("features"), *outputs("scores", classification=1)], LABELS)
    assert got[0] == other
    assert got[1].shape == (2, 1)
