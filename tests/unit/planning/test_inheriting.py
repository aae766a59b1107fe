"""The row that runs nothing: what it takes, and what it changes for other rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collab_sdk.vocabulary import INHERIT, Cascade, Objective, Precision, Reason
from collabd.planning import (
    CallFacts,
    Candidate,
    Candidates,
    Caps,
    CloudState,
    DeviceState,
    Prediction,
    choose,
    hedged,
    predict,
)
from collabd.planning.candidates import AsksLittle
from collabd.planning.choose import Decision, verdicts

DEVICE = DeviceState(
    speed=2.0,
    spread=0.1,
    busy_w=5.0,
    idle_w=2.0,
    tx_w_per_mbps=0.3,
    tx_base_w=0.1,
    overhead_s=0.003,
    inherits_more_s=-0.001,
    queue_s=0.5,
)
CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.02,
    up_s_per_byte=1e-5,
    down_s_per_byte=0.0,
    link_spread=1.0,
    speed=1.0,
    speed_spread=0.0,
    queue_s=0.0,
    price_per_request=0.01,
)
CALL = CallFacts(0.0, (0.004,), 20_000, answer_s=0.001)
PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=0.100, local_tail_s=0.1),
        Candidate(cut="image", codec="source", cloud=0, up_bytes=500, tail_s=0.01, local_tail_s=0.1),
    ]
)
OFFER = Candidate(cut=INHERIT, codec="below2", cloud=None, local_tail_s=0.0, fidelity=0.99)
LOCAL, SOURCE, INHERITED = range(3)


def predicted(plans: Candidates) -> Prediction:
    return predict(plans, device=DEVICE, clouds=[CLOUD], call=CALL, quantile=0.98)


def test_it_takes_the_overhead_and_the_answer() -> None:
    prediction = predicted(PLANS.with_another(OFFER))
    assert prediction.latency_s[INHERITED] == pytest.approx(0.003)
    assert prediction.energy_j[INHERITED] == pytest.approx(5.0 * 0.003)
    assert prediction.cost[INHERITED] == 0
    assert prediction.possible[INHERITED]
    # It does not wait for the lane.
    assert prediction.phases.lane_s.tolist() == [0.5, 0.0, 0.0]


def test_other_rows_are_what_they_were() -> None:
    alone, beside = predicted(PLANS), predicted(PLANS.with_another(OFFER))
    for figure in ("latency_s", "energy_j", "cost", "deadline_s"):
        np.testing.assert_array_equal(getattr(alone, figure), getattr(beside, figure)[:INHERITED])
    races = [hedged(plans, predicted(plans), clouds=[CLOUD], price=0.1) for plans in (PLANS, PLANS.with_another(OFFER))]
    assert races[0].hedged_s is not None
    assert races[1].hedged_s is not None
    np.testing.assert_allclose(races[0].hedged_s, races[1].hedged_s[:INHERITED])


@pytest.mark.parametrize("objective", list(Objective))
def test_it_is_taken_where_it_is_faithful_enough(objective: Objective) -> None:
    plans = PLANS.with_another(OFFER)
    prediction = predicted(plans)
    assert choose(plans, prediction, Caps(fidelity=0.99, objective=objective)) == Decision(INHERITED, Reason.CHOSEN, ())
    strict = Caps(fidelity=0.995, objective=objective)
    decision = choose(plans, prediction, strict)
    assert decision.row != INHERITED
    assert verdicts(plans, prediction, strict, decision=decision)[INHERITED] == Reason.BELOW_FIDELITY


def test_no_cap_makes_up_for_what_is_not_faithful() -> None:
    plans = PLANS.with_another(replace(OFFER, fidelity=0.5))
    decision = choose(plans, predicted(plans), Caps(latency_s=0.01, fidelity=0.99))
    assert decision.reason is Reason.NEAREST
    assert decision.row != INHERITED


def test_nobody_but_the_unsplit_network_is_at_home() -> None:
    little = AsksLittle(kind=Cascade.SERIAL, least=0.5, share=0.5, run_s=0.01, prepares=False)
    int8 = replace(PLANS.rows[LOCAL], head=Precision.INT8, tail=Precision.INT8, head_s=0.05)
    asking = [replace(row, little=little) for row in PLANS.rows]
    plans = Candidates([*PLANS.rows, int8, *asking]).with_another(OFFER)
    assert plans.home == {Precision.FP32: 0, Precision.INT8: 2}
    # Local plans race with nobody.
    assert plans.at_home.tolist() == [0, 0, 2, 3, 0, 5]
    assert (plans.with_little.start, plans.with_little.stop) == (3, 5)
    alone, beside = predicted(plans), predicted(Candidates(plans.rows[:-1]))
    for figure in ("expected_s", "mean_energy_j", "mean_cost", "deadline_s"):
        np.testing.assert_array_equal(getattr(alone, figure)[:-1], getattr(beside, figure))
    assert alone.expected_s[-1] == pytest.approx(0.003)
