"""Choosing with a memory."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pytest

from collab_sdk.vocabulary import Objective, Reason
from collabd.device.decide.chooser import Chooser, PastPlans
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
from collabd.planning.choose import Decision, SwitchGain

DEVICE = DeviceState(speed=1.0, spread=0.1, busy_w=5.0, idle_w=2.0, tx_w_per_mbps=0.3, tx_base_w=0.1)
PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=0.100, local_tail_s=0.1),
        Candidate(cut="image", codec="u8", cloud=0, up_bytes=10_000, tail_s=0.02, local_tail_s=0.1),
    ]
)
LOCAL, REMOTE = 0, 1
ANY = Caps()


def link(seconds: float) -> Prediction:
    """The remote plan takes so long on the link, and 20 ms of work."""
    cloud = CloudState(
        name="pc",
        up=True,
        rtt_s=0.0,
        up_s_per_byte=seconds / 10_000,
        down_s_per_byte=0.0,
        link_spread=0.1,
        speed=1.0,
        speed_spread=0.1,
        queue_s=0.0,
    )
    return predict(PLANS, device=DEVICE, clouds=[cloud], call=CallFacts(0.0, (0.0,), None), quantile=0.95)


def chosen(it: Chooser, plans: Candidates, prediction: Prediction, caps: Caps, *, kind: Hashable) -> Decision:
    """The decision for one call."""
    return it.turn(it.weigh(plans, prediction, caps, kind=kind), kind)


def chooser() -> Chooser:
    return Chooser(SwitchGain(gain_s=0.005, gain_ratio=0.05), explore_share=0.02, past=PastPlans())


def test_it_stays_until_a_switch_is_worth_it() -> None:
    it = chooser()
    assert chosen(it, PLANS, link(0.070), Caps(), kind="a").row == REMOTE
    kept = chosen(it, PLANS, link(0.083), Caps(), kind="a")
    assert (kept.row, kept.reason) == (REMOTE, Reason.KEPT)
    assert chosen(it, PLANS, link(0.2), Caps(), kind="a").row == LOCAL


def test_each_kind_has_its_own_past() -> None:
    it = chooser()
    chosen(it, PLANS, link(0.070), Caps(), kind="a")
    assert chosen(it, PLANS, link(0.083), Caps(), kind="b").row == LOCAL
    assert chosen(it, PLANS, link(0.083), Caps(), kind="a").row == REMOTE


def test_a_call_of_no_kind_leaves_no_trace() -> None:
    it = chooser()
    chosen(it, PLANS, link(0.070), Caps(), kind="a")
    assert choose(PLANS, link(0.083), Caps()).row == LOCAL
    assert chosen(it, PLANS, link(0.083), Caps(), kind="a").row == REMOTE


def test_a_plan_that_is_gone_is_no_past() -> None:
    it = chooser()
    chosen(it, PLANS, link(0.070), Caps(), kind="a")
    only = Candidates(PLANS.rows[:1])
    prediction = predict(only, device=DEVICE, clouds=[], call=CallFacts(0.0, (), None), quantile=0.95)
    assert chosen(it, only, prediction, Caps(), kind="a").reason is Reason.CHOSEN


def test_the_past_is_bounded() -> None:
    it = chooser()
    chosen(it, PLANS, link(0.070), Caps(), kind="first")
    for kind in range(100):
        chosen(it, PLANS, link(0.070), Caps(), kind=kind)
    assert chosen(it, PLANS, link(0.083), Caps(), kind="first").row == LOCAL


def hedged(*seconds: float) -> Prediction:
    """What each plan takes on average where the device runs the tail beside it."""
    return replace(link(seconds[REMOTE]), hedged_s=np.array(seconds))


def choices(prediction: Prediction, calls: int, caps: Caps = ANY) -> list[Reason]:
    it = chooser()
    return [chosen(it, PLANS, prediction, caps, kind="a").reason for _ in range(calls)]


def test_a_companion_that_looks_too_slow_is_tried_within_what_may_be_lost() -> None:
    reasons = choices(hedged(0.100, 0.106), 300)
    assert reasons[:2] == [Reason.CHOSEN, Reason.CHOSEN]
    tries = reasons.count(Reason.EXPLORED)
    # 2 % of 300 calls of 100 ms, at a loss of 6 ms each: every third.
    assert 90 <= tries <= 100
    assert tries * 0.006 <= 0.02 * 300 * 0.100


def test_a_try_is_not_the_past_that_calls_stay_with() -> None:
    it = chooser()
    prediction = hedged(0.100, 0.106)
    decisions = [chosen(it, PLANS, prediction, Caps(), kind="a") for _ in range(20)]
    assert {one.row for one in decisions if one.reason is Reason.EXPLORED} == {REMOTE}
    assert {one.row for one in decisions if one.reason is not Reason.EXPLORED} == {LOCAL}


@pytest.mark.parametrize(
    ("prediction", "caps"),
    [
        (hedged(0.100, 0.120), Caps()),  # a try would lose too much of one call
        (link(0.086), Caps()),  # nor does the device work beside it: all of the loss would be real
        (hedged(0.100, 0.106), Caps(latency_s=0.105)),  # the try would break the cap
        (hedged(0.100, 0.106), Caps(latency_s=0.001)),  # no plan fits: it is no time to try
    ],
)
def test_it_does_not_try(prediction: Prediction, caps: Caps) -> None:
    assert Reason.EXPLORED not in choices(prediction, 100, caps)


def test_what_is_chosen_anyway_needs_no_try() -> None:
    assert set(choices(hedged(0.100, 0.090), 100)) == {Reason.CHOSEN}


def test_credit_is_not_saved_for_ever() -> None:
    it = chooser()
    for _ in range(1000):
        chosen(it, PLANS, hedged(0.100, 0.5), Caps(), kind="a")
    tries = [chosen(it, PLANS, hedged(0.100, 0.107), Caps(), kind="a").reason for _ in range(5)]
    assert tries.count(Reason.EXPLORED) <= 3


# Of 100 ms and 500 mJ here; there 20 ms of work, and the link. Nobody has asked it for a minute.
def unasked(link_s: float, unasked_s: float = 60.0, spread: float = 0.05) -> Prediction:
    cloud = CloudState(
        name="pc",
        up=True,
        rtt_s=0.0,
        up_s_per_byte=link_s / 10_000,
        down_s_per_byte=0.0,
        link_spread=spread,
        speed=1.0,
        speed_spread=0.05,
        queue_s=0.0,
        price_per_request=1.0,
        unasked_s=unasked_s,
    )
    return predict(
        PLANS,
        device=replace(DEVICE, spread=0.05, idle_w=4.0),
        clouds=[cloud],
        call=CallFacts(0.0, (0.0,), None),
        quantile=0.95,
    )


SLOWER = unasked(0.081)
SPARING = [
    ("latency", Caps()),
    ("latency with a cap that both keep", Caps(latency_s=0.2)),
    ("energy", Caps(objective=Objective.ENERGY)),
    ("pace", Caps(objective=Objective.THROUGHPUT)),
]


@pytest.mark.parametrize(("what", "caps"), SPARING, ids=[what for what, _ in SPARING])
def test_where_the_loss_is_real_a_companion_is_tried_that_nobody_asked(what: str, caps: Caps) -> None:
    link_s = {Objective.ENERGY: 0.099, Objective.THROUGHPUT: 0.1015}.get(caps.objective, 0.081)
    assert choose(PLANS, unasked(link_s), caps).row == LOCAL, what
    reasons = choices(unasked(link_s), 300, caps)
    tries = reasons.count(Reason.EXPLORED)
    assert 1 <= tries <= 150
    assert Reason.EXPLORED not in choices(unasked(link_s, unasked_s=5.0), 300, caps)


@pytest.mark.parametrize(
    ("prediction", "caps"),
    [
        (unasked(0.095), Caps()),  # loses too much
        (unasked(0.081, spread=1.0), Caps()),  # may lose too much
        (unasked(0.081, spread=0.06), Caps(latency_s=0.1085)),  # would break the cap
        (SLOWER, Caps(objective=Objective.COST)),  # the device is free
        (SLOWER, Caps(cost=0.5)),  # may not be paid
    ],
)
def test_a_real_loss_is_bounded(prediction: Prediction, caps: Caps) -> None:
    assert Reason.EXPLORED not in choices(prediction, 300, caps)


def test_where_nothing_fits_tries_are_bounded_by_the_chance_that_they_lose() -> None:
    hopeless, hopeful = Caps(latency_s=0.01), Caps(latency_s=0.097)
    it = chooser()
    assert chosen(it, PLANS, unasked(0.5), hopeless, kind="a").row == LOCAL
    assert Reason.EXPLORED not in [chosen(it, PLANS, unasked(0.5), hopeless, kind="a").reason for _ in range(100)]
    decisions = [chosen(it, PLANS, unasked(0.080), hopeful, kind="b") for _ in range(100)]
    tried = [one for one in decisions if one.reason is Reason.EXPLORED]
    assert 1 <= len(tried) <= 50
    assert {one.unmet for one in tried} == {("latency",)}


def test_calls_whose_caps_differ_are_of_one_kind() -> None:
    kinds = {Caps(latency_s=ms / 1e3, fidelity=0.99).kind for ms in range(16, 31)}
    assert len(kinds) == 1
    others = [
        Caps(latency_s=0.08, fidelity=0.99),
        Caps(energy_j=0.02, fidelity=0.99),
        Caps(latency_s=0.02, energy_j=0.02, fidelity=0.99),
        Caps(latency_s=0.02, fidelity=0.99, objective=Objective.ENERGY),
        Caps(latency_s=0.02, fidelity=1.0),
        Caps(cost=0.0),
        Caps(),
    ]
    assert len(kinds | {caps.kind for caps in others}) == 1 + len(others)


def test_a_plan_is_not_kept_for_a_cap_that_it_breaks() -> None:
    it = chooser()
    assert chosen(it, PLANS, unasked(0.078, 0.0), Caps(latency_s=0.5), kind="a").row == REMOTE
    assert chosen(it, PLANS, unasked(0.081, 0.0), Caps(latency_s=0.5), kind="a").row == REMOTE
    assert chosen(it, PLANS, unasked(0.081, 0.0, spread=0.2), Caps(latency_s=0.11), kind="a").row == LOCAL
