"""A call's parameters: defaults, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collab_sdk.budget import Budget
from collab_sdk.errors import InvalidBudget, InvalidRequest
from collab_sdk.vocabulary import Objective, OnInfeasible
from collabd.device.job.options import CallOptions
from collabd.planning import Caps


def test_defaults() -> None:
    options = CallOptions.from_parameters({"binary_data_output": True})
    assert options == CallOptions(
        budget=Budget(),
        cut=None,
        placement=None,
        codec=None,
        fallback=None,
        on_infeasible=OnInfeasible.NEAREST,
        pin_first=0,
        pin_last=0,
    )
    assert not options.is_fixed
    assert options.caps(0.99) == Caps(fidelity=0.99)


def test_the_budget_in_si_units() -> None:
    options = CallOptions.from_parameters({"budget": "80ms,150mJ,99.9%,cost 0.002,min-energy"})
    assert options.caps(0.5) == Caps(
        latency_s=0.08, energy_j=0.15, cost=0.002, fidelity=0.999, objective=Objective.ENERGY
    )


def test_a_budget_that_is_a_number_is_a_cost() -> None:
    assert CallOptions.from_parameters({"budget": 0.5}).budget == Budget(cost=0.5)


def test_what_other_clients_add_is_ignored() -> None:
    assert CallOptions.from_parameters(
        {"priority": 1, "sequence_id": 5, "headers": "x"}
    ) == CallOptions.from_parameters({})


@pytest.mark.parametrize(
    ("parameters", "latency_ms"),
    [
        ({"timeout": 1000}, 1.0),
        ({"timeout": 1000, "budget": "80ms,cost 1"}, 1.0),
        ({"timeout": 1_000_000, "budget": "80ms"}, 80.0),
        ({"timeout": 1000, "budget": "99%"}, 1.0),
        ({"timeout": 0, "budget": "80ms"}, 80.0),
        ({"timeout": 0}, None),
    ],
)
def test_of_timeout_and_budget_the_stricter_holds(parameters: dict[str, Any], latency_ms: float | None) -> None:
    budget = CallOptions.from_parameters(parameters).budget
    assert budget == replace(Budget.parse(parameters.get("budget")), latency_ms=latency_ms)


def test_pins() -> None:
    options = CallOptions.from_parameters({"pin_first": 2, "pin_last": 1})
    assert (options.pin_first, options.pin_last, options.is_fixed) == (2, 1, False)


def test_a_fixed_cut() -> None:
    options = CallOptions.from_parameters({"cut": "features.3", "codec": "q8", "fallback": "fail"})
    assert options.is_fixed
    assert (options.cut, options.codec, options.fallback) == ("features.3", "q8", "fail")


@pytest.mark.parametrize(
    ("parameters", "error", "says"),
    [
        ({"bugdet": "80ms"}, InvalidRequest, "unknown parameter 'bugdet'"),
        ({"budget": "80 parsecs"}, InvalidBudget, "parsecs"),
        ({"budget": "80"}, InvalidBudget, "80 of what"),
        ({"budget": "-80ms"}, InvalidBudget, "negative"),
        ({"timeout": "80ms"}, InvalidRequest, "microseconds"),
        ({"cut": 3}, InvalidRequest, "cut must be text"),
        ({"codec": "mp3"}, InvalidRequest, "unknown codec 'mp3'"),
        ({"fallback": "pray"}, InvalidRequest, "fallback must be one of local, fail, never-leave"),
        ({"fallback": None}, InvalidRequest, "fallback must be one of"),
        ({"pin_first": -1}, InvalidRequest, "pin_first must be a number of layers, not -1"),
        ({"pin_last": True}, InvalidRequest, "pin_last must be a number of layers, not True"),
        ({"pin_last": "1"}, InvalidRequest, "pin_last must be a number of layers, not '1'"),
        ({"on_infeasible": True}, InvalidRequest, "on_infeasible must be one of"),
        ({"cut": "a", "placement": "DC"}, InvalidRequest, "not both"),
        ({"cut": "a", "fallback": "never-leave"}, InvalidRequest, "never-leave"),
    ],
)
def test_refusals(parameters: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        CallOptions.from_parameters(parameters)


def test_a_stream_has_a_name() -> None:
    assert CallOptions.from_parameters({"stream": "front-door"}).stream == "front-door"
    assert CallOptions.from_parameters({"stream": "Straße 7, hinten"}).stream == "Straße 7, hinten"
    for name in ("", "x" * 65, "two\nlines", "\x1b[31m", 7, True):
        with pytest.raises(InvalidRequest, match="stream"):
            CallOptions.from_parameters({"stream": name})


def test_what_is_left_of_a_budget() -> None:
    options = CallOptions.from_parameters({"budget": "80ms,150mJ"})
    assert options.after(0.03, 0.05).budget == Budget(latency_ms=50, energy_mj=100)
    assert options.after(1.0, 1.0).budget == Budget(latency_ms=1e-3, energy_mj=1e-3)
    free = CallOptions.from_parameters({})
    assert free.after(1.0, 1.0) is free
