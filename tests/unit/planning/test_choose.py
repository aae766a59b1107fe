"""Which plan is taken, and the named reason of each that is not, as a table of scenarios."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.vocabulary import Objective, Reason
from collabd.planning import (
    CallFacts,
    Candidate,
    Candidates,
    Caps,
    CloudState,
    DeviceState,
    Prediction,
    choose,
    predict,
)
from collabd.planning.choose import Decision, SwitchGain, held_back, verdicts

DEVICE = DeviceState(speed=1.0, spread=0.0, busy_w=5.0, idle_w=1.0, tx_w_per_mbps=0.0, tx_base_w=0.0)
CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.010,
    up_s_per_byte=1e-6,
    down_s_per_byte=0.0,
    link_spread=0.0,
    speed=1.0,
    speed_spread=0.0,
    queue_s=0.0,
    price_per_request=0.01,
)


def plan(
    cut: str, cloud: int | None, head_ms: float, kilobytes: float, tail_ms: float, fidelity: float = 1.0
) -> Candidate:
    return Candidate(
        cut=cut,
        codec="q8",
        cloud=cloud,
        head_s=head_ms / 1e3,
        up_bytes=kilobytes * 1e3,
        tail_s=tail_ms / 1e3,
        local_tail_s=0.1,
        fidelity=fidelity,
    )


#                      latency  energy     cost  fidelity
LOCAL = plan("output", None, 100, 0, 0)  # 100 ms   500 mJ   0     1
EARLY = plan("early", 0, 10, 50, 10)  # 80 ms    120 mJ   0.01  1
LATE = plan("late", 0, 60, 2, 2, 0.97)  # 74 ms    314 mJ   0.01  0.97
PLANS = Candidates([LOCAL, EARLY, LATE])


def evaluate(cloud: CloudState = CLOUD) -> Prediction:
    return predict(PLANS, device=DEVICE, clouds=[cloud], call=CallFacts(0.0, (0.0,), None), quantile=0.95)


@dataclass
class Scenario:
    because: str
    caps: Caps
    chosen: str
    reasons: list[Reason]
    unmet: tuple[str, ...] = ()


SCENARIOS = [
    Scenario("late is fastest", Caps(), "late", [Reason.WORSE, Reason.WORSE, Reason.CHOSEN]),
    Scenario("late errs too often", Caps(fidelity=0.99), "early", [Reason.WORSE, Reason.CHOSEN, Reason.BELOW_FIDELITY]),
    Scenario(
        "early takes least energy",
        Caps(objective=Objective.ENERGY),
        "early",
        [Reason.WORSE, Reason.CHOSEN, Reason.WORSE],
    ),
    Scenario("local is free", Caps(objective=Objective.COST), "output", [Reason.CHOSEN, Reason.WORSE, Reason.WORSE]),
    # Slowest stages: 100 ms here; 50 ms on the link; 60 ms here.
    Scenario(
        "early paces a stream best",
        Caps(objective=Objective.THROUGHPUT),
        "early",
        [Reason.WORSE, Reason.CHOSEN, Reason.WORSE],
    ),
    Scenario("nothing may be paid", Caps(cost=0.0), "output", [Reason.CHOSEN, Reason.OVER_COST, Reason.OVER_COST]),
    Scenario(
        "200 mJ at most",
        Caps(energy_j=0.2),
        "early",
        [Reason.OVER_ENERGY, Reason.CHOSEN, Reason.OVER_ENERGY],
    ),
    Scenario("75 ms at most", Caps(latency_s=0.075), "late", [Reason.OVER_LATENCY, Reason.OVER_LATENCY, Reason.CHOSEN]),
    Scenario(
        "no plan takes 50 ms; late is nearest",
        Caps(latency_s=0.05),
        "late",
        [Reason.OVER_LATENCY, Reason.OVER_LATENCY, Reason.NEAREST],
        ("latency",),
    ),
    Scenario(
        "fidelity is not traded for latency",
        Caps(latency_s=0.05, fidelity=0.99),
        "early",
        [Reason.OVER_LATENCY, Reason.NEAREST, Reason.BELOW_FIDELITY],
        ("latency",),
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.because)
def test_scenarios(scenario: Scenario) -> None:
    prediction = evaluate()
    decision = choose(PLANS, prediction, scenario.caps)
    assert PLANS.rows[decision.row].cut == scenario.chosen
    assert verdicts(PLANS, prediction, scenario.caps, decision=decision) == scenario.reasons
    assert decision.unmet == scenario.unmet


def test_a_companion_that_is_down_leaves_local() -> None:
    prediction = evaluate(
        CloudState(
            name="pc",
            up=False,
            rtt_s=0.01,
            up_s_per_byte=1e-6,
            down_s_per_byte=0.0,
            link_spread=0.0,
            speed=1.0,
            speed_spread=0.0,
            queue_s=0.0,
        )
    )
    decision = choose(PLANS, prediction, Caps())
    assert decision == Decision(0, Reason.CHOSEN, ())
    assert verdicts(PLANS, prediction, Caps(), decision=decision)[1:] == [Reason.IMPOSSIBLE, Reason.IMPOSSIBLE]


def test_a_companion_that_is_busy_is_out_of_the_question_for_now() -> None:
    prediction = evaluate(replace(CLOUD, up=False, busy=True))
    decision = choose(PLANS, prediction, Caps())
    assert decision.row == 0
    assert verdicts(PLANS, prediction, Caps(), decision=decision)[1:] == [Reason.BUSY, Reason.BUSY]


def test_never_leave_excludes_all_but_local() -> None:
    prediction = evaluate()
    decision = choose(PLANS, prediction, Caps(latency_s=0.05), allowed=PLANS.local)
    assert PLANS.rows[decision.row].cut == "output"
    assert verdicts(PLANS, prediction, Caps(), decision=decision, allowed=PLANS.local)[1:] == [
        Reason.NOT_ALLOWED,
        Reason.NOT_ALLOWED,
    ]


def test_nothing_allowed_is_a_caller_error() -> None:
    with pytest.raises(ValueError, match="no plan"):
        choose(PLANS, evaluate(), Caps(), allowed=np.zeros(3, np.bool_))


@pytest.mark.parametrize(
    ("gain_s", "gain_ratio", "kept"),
    [
        (0.005, 0.05, False),  # 80 → 74 ms: better by 6 ms and 7.5 %
        (0.010, 0.05, True),  # not by 10 ms
        (0.005, 0.10, True),  # not by 10 %
    ],
)
def test_a_switch_must_be_worth_it_absolutely_and_relatively(gain_s: float, gain_ratio: float, kept: bool) -> None:
    prediction = evaluate()
    decision = choose(PLANS, prediction, Caps(), previous=1, switch_gain=SwitchGain(gain_s, gain_ratio))
    assert decision.reason is (Reason.KEPT if kept else Reason.CHOSEN)
    assert decision.row == (1 if kept else 2)
    if kept:
        assert verdicts(PLANS, prediction, Caps(), decision=decision)[2] is Reason.NOT_WORTH_A_SWITCH


def test_a_previous_plan_that_no_longer_fits_is_left() -> None:
    decision = choose(PLANS, evaluate(), Caps(latency_s=0.075), previous=1, switch_gain=SwitchGain(1.0, 1.0))
    assert PLANS.rows[decision.row].cut == "late"


figures = st.floats(0.001, 100)


@given(
    st.lists(st.tuples(figures, figures, figures, st.floats(0.5, 1)), min_size=1, max_size=30),
    st.one_of(st.none(), st.floats(0.001, 0.2)),
    st.floats(0, 1),
)
def test_the_choice_is_the_best_that_fits(
    raw: list[tuple[float, float, float, float]], cap_s: float | None, fidelity: float
) -> None:
    plans = Candidates([LOCAL, *(plan(f"c{i}", 0, head, size, tail, f) for i, (head, size, tail, f) in enumerate(raw))])
    prediction = predict(plans, device=DEVICE, clouds=[CLOUD], call=CallFacts(0.0, (0.0,), None), quantile=0.95)
    caps = Caps(latency_s=cap_s, fidelity=fidelity)
    decision = choose(plans, prediction, caps)
    fitting = [
        row
        for row in range(len(plans))
        if plans.fidelity[row] >= fidelity and (cap_s is None or prediction.deadline_s[row] <= cap_s)
    ]
    if fitting:
        assert prediction.latency_s[decision.row] <= min(prediction.latency_s[row] for row in fitting) * (1 + 1e-9)
        assert decision.row in fitting
    else:
        assert decision.reason is Reason.NEAREST
        assert "latency" in decision.unmet
        assert plans.fidelity[decision.row] >= fidelity


def test_what_its_fidelity_alone_holds_back_is_named_the_best_first() -> None:
    plans = Candidates([LOCAL, EARLY, LATE, replace(LATE, codec="q4", up_bytes=1e3, fidelity=0.9)])
    prediction = predict(plans, device=DEVICE, clouds=[CLOUD], call=CallFacts(0.0, (0.0,), None), quantile=0.95)
    caps = Caps(fidelity=0.99)
    decision = choose(plans, prediction, caps)
    assert plans.rows[decision.row] is EARLY
    assert held_back(plans, prediction, caps, decision=decision) == [3, 2]
    assert held_back(plans, prediction, replace(caps, fidelity=0.95), decision=decision) == [3]
    assert held_back(plans, prediction, replace(caps, fidelity=0.0), decision=decision) == []
    # Energy holds them back as well.
    assert held_back(plans, prediction, replace(caps, energy_j=0.2), decision=decision) == []
    not_allowed = np.array([True, True, True, False])
    assert held_back(plans, prediction, caps, decision=decision, allowed=not_allowed) == [2]
