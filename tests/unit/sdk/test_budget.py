"""Budgets: what is read, what is refused and with which advice, and the text form that travels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk import Budget, InvalidBudget
from collab_sdk.vocabulary import Objective

caps = st.none() | st.floats(0, allow_infinity=False, allow_nan=False)
budgets = st.builds(
    Budget,
    latency_ms=st.none() | st.floats(0, exclude_min=True, allow_infinity=False, allow_nan=False),
    energy_mj=caps,
    cost=caps,
    fidelity=st.none() | st.floats(0, 1),
    objective=st.none() | st.sampled_from(Objective),
)


@pytest.mark.parametrize(
    ("value", "budget"),
    [
        (None, Budget()),
        ("", Budget()),
        ("  ", Budget()),
        ("80ms", Budget(latency_ms=80)),
        (" 80 ms ", Budget(latency_ms=80)),
        ("0.5s", Budget(latency_ms=500)),
        ("500us", Budget(latency_ms=0.5)),
        ("500µs", Budget(latency_ms=0.5)),
        ("1e2ms", Budget(latency_ms=100)),
        (Budget(latency_ms=np.float32(0.5), energy_mj=np.int64(3)), Budget(latency_ms=0.5, energy_mj=3)),  # type: ignore[arg-type]
        ("+.5s", Budget(latency_ms=500)),
        ("150mJ", Budget(energy_mj=150)),
        ("2J", Budget(energy_mj=2000)),
        ("900uJ", Budget(energy_mj=0.9)),
        ("0J", Budget(energy_mj=0)),
        ("99%", Budget(fidelity=0.99)),
        ("99.9%", Budget(fidelity=0.999)),
        ("100 %", Budget(fidelity=1)),
        ("cost 0.002", Budget(cost=0.002)),
        ("cost=0.002", Budget(cost=0.002)),
        (" cost  = 2e-3 ", Budget(cost=0.002)),
        (0.002, Budget(cost=0.002)),
        (0, Budget(cost=0)),
        (np.float32(0.5), Budget(cost=0.5)),
        (np.int64(2), Budget(cost=2)),
        ("min-energy", Budget(objective=Objective.ENERGY)),
        ("max-throughput", Budget(objective=Objective.THROUGHPUT)),
        (
            "min-cost , 80ms,150mJ,99%, cost 1",
            Budget(latency_ms=80, energy_mj=150, cost=1, fidelity=0.99, objective=Objective.COST),
        ),
        (Budget(latency_ms=3), Budget(latency_ms=3)),
    ],
)
def test_what_is_read(value: Any, budget: Budget) -> None:
    assert Budget.parse(value) == budget


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("80Ms", "unknown unit 'Ms'.*did you mean 'ms'"),
        ("80 MJ", "did you mean 'mJ'"),
        ("80sec", "unknown unit 'sec'"),
        ("3 parsec", "unknown unit 'parsec'"),
        ("1_000ms", "unknown unit '_000ms'"),
        ("٣ms", "cannot read"),
        ("min-latancy", "did you mean 'min-latency'"),
        ("fast", "cannot read 'fast'"),
        ("ms", "cannot read 'ms'"),
        ("nan", "cannot read 'nan'"),
        ("infms", "cannot read 'infms'"),
        ("80ms,", "cannot read ''"),
        ("80ms,,2J", "cannot read ''"),
        ("80ms, 0.1s", "sets latency_ms twice"),
        ("cost 1, cost 2", "sets cost twice"),
        ("80", r"80 of what\? Write 80ms .*, 80mJ .* or cost 80$"),
        ("99%, 0.002", r"0.002 of what\?"),
        ("0", r"0 of what\?"),
        ("cost", "cannot read 'cost'"),
        ("cost 80ms", "cannot read 'cost 80ms'"),
        ("cost80", "cannot read 'cost80'"),
        ("80 cost", "unknown unit 'cost'"),
        ("min-cost,min-cost", "sets objective twice"),
        ("-1ms", "latency_ms.*negative"),
        ("cost -0.01", "cost.*negative"),
        ("0ms", "above 0"),
        ("1e-400s", "above 0"),
        ("101%", "above 1"),
        ("1e999ms", "not finite"),
        ("1e99999999999999999999ms", "not a finite number"),
        (-1, "negative"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (10**400, "not finite"),
        ("1" * 2000 + "ms", "this budget has 2002 characters"),
        (True, "a bool is not a budget"),
        (b"80ms", "a bytes is not a budget"),
        ([80], "a list is not a budget"),
    ],
)
def test_what_is_refused(value: Any, says: str) -> None:
    with pytest.raises(InvalidBudget, match=says):
        Budget.parse(value)


@pytest.mark.parametrize("value", ["fast", "80parsec", [1]])
def test_a_refusal_shows_the_forms(value: Any) -> None:
    with pytest.raises(InvalidBudget, match=r"80ms.*150mJ.*99%.*cost 0\.002.*min-latency"):
        Budget.parse(value)


@pytest.mark.parametrize(
    "caps",
    [
        {"latency_ms": 0},
        {"latency_ms": -1.0},
        {"energy_mj": float("nan")},
        {"cost": float("inf")},
        {"cost": True},
        {"latency_ms": "80"},
        {"fidelity": 1.01},
        {"objective": "speed"},
    ],
)
def test_the_constructor_refuses_the_same(caps: dict[str, Any]) -> None:
    with pytest.raises(InvalidBudget, match=next(iter(caps))):
        Budget(**caps)


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (Budget(), ""),
        (
            Budget(latency_ms=80, energy_mj=150.5, cost=0.002, fidelity=0.99, objective=Objective.ENERGY),
            "80ms,150.5mJ,99%,cost 0.002,min-energy",
        ),
        (Budget(latency_ms=np.float64(80), fidelity=np.float64(0.1)), "80ms,10%"),
        (Budget(fidelity=1.0), "100%"),
        (Budget(fidelity=1), "100%"),
        (Budget(cost=0.0), "cost 0"),
    ],
)
def test_the_text_form_is_what_a_person_would_write(budget: Budget, text: str) -> None:
    assert str(budget) == text


@given(budgets)
def test_the_text_form_reads_back(budget: Budget) -> None:
    assert Budget.parse(str(budget)) == budget


def test_an_objective_may_be_its_text() -> None:
    assert Budget(objective="energy").objective is Objective.ENERGY  # type: ignore[arg-type]


pieces = st.sampled_from([*"0123456789.,+-eE msuJ%µinatylco=", "cost", "min-cost"])


@given(st.lists(pieces).map("".join) | st.text())
def test_any_text_is_a_budget_or_an_invalid_budget(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except InvalidBudget:
        return
    assert Budget.parse(str(budget)) == budget
