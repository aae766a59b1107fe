"""Plans that ask a little network: both kinds of calls by hand, and which rows are worth having."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collab_sdk.vocabulary import Cascade, Objective, Precision
from collabd.catalog.package.package import GRAPHS
from collabd.planning import CallFacts, Candidate, Candidates, Caps, Prediction, choose, hedged, predict
from collabd.planning.candidates import SOURCE
from collabd.planning.cascades import LittleAnswers, LittleNetwork, with_little
from collabd.planning.choose import goal_of
from tests.unit.planning.scene import CLOUD, DEVICE, SPLIT

LOCAL = Candidate(cut="output", codec="none", cloud=None, head_s=0.1, local_tail_s=0.1)
FILE = Candidate(cut="image", codec=SOURCE, cloud=0, up_bytes=300, down_bytes=1_000, tail_s=0.02, local_tail_s=0.1)
CALL = CallFacts(prep_s=0.005, cloud_prep_s=(0.001,), source_bytes=20_000, answer_s=0.002, little_prep_s=0.005)
BUSY = replace(DEVICE, overhead_s=0.003, asking_s=0.001, queue_s=0.004)
ANSWERED = LittleAnswers(least=0.8, share=0.6, fidelity=0.991)
RUN_S, SPEED = 0.01, 2.0


def little(same_picture: bool = True, answered: LittleAnswers | None = ANSWERED) -> LittleNetwork:
    return LittleNetwork(run_s=RUN_S, same_picture=same_picture, widest=lambda *_: answered)


def predicted(plan: Candidate, network: LittleNetwork, call: CallFacts = CALL) -> tuple[Candidates, Prediction]:
    plans = with_little(Candidates([LOCAL, plan] if plan is not LOCAL else [LOCAL]), [network], 0.99)
    return plans, predict(plans, device=BUSY, clouds=[CLOUD], call=call, quantile=0.95)


def place(plans: Candidates, plan: Candidate, kind: Cascade) -> int:
    return plans.index[(*plan.key[:4], kind, Precision.FP32)]


def sure_s(plans: Candidates, got: Prediction, row: int) -> float:
    return float(got.basis.sure_s[row - plans.with_little.start])


def test_first_and_then_all_on_the_device() -> None:
    plans, got = predicted(LOCAL, little())
    row = place(plans, LOCAL, Cascade.SERIAL)
    assert got.latency_s[row] == pytest.approx(got.latency_s[0] + RUN_S * SPEED)
    sure = 0.003 + 0.004 + 0.005 + RUN_S * SPEED + 0.002
    assert sure_s(plans, got, row) == pytest.approx(sure)
    assert got.expected_s[row] == pytest.approx(0.6 * sure + 0.4 * got.latency_s[row])
    assert got.mean_energy_j[row] == pytest.approx(
        0.6 * (5 * (sure - 0.004) + 2 * 0.004) + 0.4 * (got.energy_j[0] + 5 * RUN_S * SPEED)
    )
    assert got.mean_cost[row] == 0


def test_first_and_then_the_file_to_the_companion() -> None:
    plans, got = predicted(FILE, little())
    row = place(plans, FILE, Cascade.SERIAL)
    # The image is prepared for the little network, which waits for its turn.
    assert got.latency_s[row] == pytest.approx(got.latency_s[1] + 0.004 + 0.005 + RUN_S * SPEED)
    assert sure_s(plans, got, row) == pytest.approx(0.003 + 0.004 + 0.005 + RUN_S * SPEED + 0.002)
    # Less than half of the calls send anything.
    assert got.mean_cost[row] == pytest.approx(0.4 * got.cost[1])
    assert got.cost[row] == got.cost[1]


def test_first_and_then_split() -> None:
    plans, got = predicted(SPLIT, little())
    row = place(plans, SPLIT, Cascade.SERIAL)
    # The image is prepared once, for both.
    assert got.latency_s[row] == pytest.approx(got.latency_s[1] + RUN_S * SPEED)
    assert got.basis.home_s[row] == pytest.approx(got.basis.home_s[1] + RUN_S * SPEED)


@pytest.mark.parametrize("plan", [FILE, SPLIT])
def test_beside_the_exchange(plan: Candidate) -> None:
    plans, got = predicted(plan, little())
    row = place(plans, plan, Cascade.RACED)
    # What the little network leaves takes what it would take without it, but the device works meanwhile.
    assert got.latency_s[row] == pytest.approx(got.latency_s[1])
    prepares = 0.005 if plan is FILE else 0.0
    assert got.energy_j[row] == pytest.approx(got.energy_j[1] + (5 - 2) * (RUN_S * SPEED + prepares))
    # What it answers waits for no link, but is charged: the exchange has begun.
    phases = got.phases
    before = sum(float(phase[1]) for phase in (phases.overhead_s, phases.lane_s, phases.prep_s, phases.head_s))
    before += float(phases.encode_s[1] + phases.answer_s[1])
    assert sure_s(plans, got, row) == pytest.approx(before + prepares + RUN_S * SPEED)
    assert got.mean_cost[row] == pytest.approx(got.cost[1])
    assert got.basis.home_s[row] == got.basis.home_s[1]


def test_a_picture_by_another_rule_is_prepared_twice() -> None:
    call = replace(CALL, little_prep_s=0.007)
    plans, got = predicted(LOCAL, little(same_picture=False), call)
    row = place(plans, LOCAL, Cascade.SERIAL)
    assert got.latency_s[row] == pytest.approx(got.latency_s[0] + 0.007 + 0.004 + RUN_S * SPEED)
    assert sure_s(plans, got, row) == pytest.approx(0.003 + 0.004 + 0.007 + RUN_S * SPEED + 0.002)


def test_caps_limit_the_calls_that_leave_and_the_mean_is_minimised() -> None:
    plans, got = predicted(LOCAL, little())
    row = place(plans, LOCAL, Cascade.SERIAL)
    assert goal_of(got, Caps())[row] < goal_of(got, Caps())[0]
    assert choose(plans, got, Caps(fidelity=0.99)).row == row
    between = float(got.deadline_s[0] + got.deadline_s[row]) / 2
    assert choose(plans, got, Caps(fidelity=0.99, latency_s=between)).row == 0
    energy_j = float(got.energy_most_j[0] + got.energy_most_j[row]) / 2
    assert choose(plans, got, Caps(fidelity=0.99, energy_j=energy_j, objective=Objective.ENERGY)).row == 0
    assert choose(plans, got, Caps(fidelity=0.99, objective=Objective.ENERGY)).row == row


def test_a_stream_is_as_fast_as_its_slowest_stage_in_the_mean() -> None:
    plans, got = predicted(LOCAL, little())
    row = place(plans, LOCAL, Cascade.SERIAL)
    sure, left = 0.005 + RUN_S * SPEED + 0.002, 0.005 + RUN_S * SPEED + 0.1 * SPEED + 0.002
    assert goal_of(got, Caps(objective=Objective.THROUGHPUT))[row] == pytest.approx(0.6 * sure + 0.4 * left)


def test_where_both_race_the_device_begins_behind_the_little_network() -> None:
    slow = replace(CLOUD, link_spread=2.0, rtt_s=1.0)
    plans = with_little(Candidates([LOCAL, FILE]), [little()], 0.99)
    prediction = predict(plans, device=BUSY, clouds=[slow], call=CALL, quantile=0.95)
    got = hedged(plans, prediction, clouds=[slow], price=0.1)
    assert got.raced_s is not None
    for kind in Cascade:
        row = place(plans, FILE, kind)
        assert got.raced_s[row] == pytest.approx(got.raced_s[1] + RUN_S * SPEED)


def test_no_row_for_calls_that_want_more_fidelity() -> None:
    plans = Candidates([LOCAL, SPLIT])
    assert with_little(plans, [little(answered=None)], 1.0) is plans


def test_a_little_network_makes_no_plan_more_faithful() -> None:
    lossy = replace(SPLIT, codec="q4", fidelity=0.97)
    plans = with_little(Candidates([LOCAL, lossy]), [little()], 0.99)
    assert [row.cut for row in plans.rows if row.little is not None] == ["output"]


def test_of_plans_that_leave_only_those_count_that_no_other_beats() -> None:
    heavier = replace(SPLIT, codec="f16", up_bytes=SPLIT.up_bytes + 1)
    elsewhere = replace(heavier, cloud=1)
    plans = with_little(Candidates([LOCAL, heavier, SPLIT, elsewhere, replace(SPLIT, codec="f32")]), [little()], 0.99)
    asking = [(row.codec, row.cloud) for row in plans.rows if row.little is not None]
    assert asking == [("none", None), (SPLIT.codec, 0), (SPLIT.codec, 0), ("f16", 1), ("f16", 1)]


def test_the_rows_stand_together_behind_the_others() -> None:
    plans = with_little(Candidates([LOCAL, SPLIT, FILE]), [little()], 0.99)
    assert plans.with_little == slice(3, len(plans))
    assert np.flatnonzero(plans.share).tolist() == list(range(3, len(plans)))
    assert plans.share[3] == 0.6


def in_int8(run_s: float, share: float) -> LittleNetwork:
    answered = replace(ANSWERED, share=share)
    return LittleNetwork(run_s=run_s, precision=Precision.INT8, same_picture=True, widest=lambda *_: answered)


@pytest.mark.parametrize(
    ("run_s", "share", "left"),
    [
        (RUN_S / 2, 0.6, {Precision.INT8}),
        (RUN_S * 2, 0.6, {Precision.FP32}),
        (RUN_S / 2, 0.5, {Precision.FP32, Precision.INT8}),
        (RUN_S, 0.7, {Precision.INT8}),
        (RUN_S, 0.6, {Precision.FP32}),
    ],
    ids=["faster", "slower", "faster and surer less often", "surer more often", "no better"],
)
def test_the_little_network_is_asked_in_the_precision_that_is_better(
    run_s: float, share: float, left: set[Precision]
) -> None:
    plans = with_little(Candidates([LOCAL, SPLIT]), [little(), in_int8(run_s, share)], 0.99)
    for cut in (LOCAL.cut, SPLIT.cut):
        asked = {row.little.precision for row in plans.rows if row.little is not None and row.cut == cut}
        assert asked == left


def test_a_row_says_in_which_precision_the_little_network_runs_and_takes_its_time() -> None:
    plans = with_little(Candidates([LOCAL]), [little(), in_int8(RUN_S / 2, 0.5)], 0.99)
    got = predict(plans, device=BUSY, clouds=[CLOUD], call=CALL, quantile=0.95)
    fp32, int8 = (plans.index[(*LOCAL.key[:4], Cascade.SERIAL, each)] for each in GRAPHS)
    assert sure_s(plans, got, fp32) - sure_s(plans, got, int8) == pytest.approx(RUN_S / 2 * SPEED)
