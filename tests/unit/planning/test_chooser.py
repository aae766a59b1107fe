"""Choosing with a memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collabd.planning import Candidate, Candidates, Caps, CloudState, DeviceState, Prediction, Request, predict
from collabd.planning.choose import Reason, Stickiness
from collabd.planning.chooser import Chooser

DEVICE = DeviceState(1.0, 0.1, 5.0, 2.0, 0.3, 0.1)
PLANS = Candidates(
    [
        Candidate("output", "none", None, 0.100, 0, 0, 0, 0, 0, 0.1, 1.0),
        Candidate("image", "u8", 0, 0, 0, 10_000, 0, 0, 0.02, 0.1, 1.0),
    ]
)
LOCAL, REMOTE = 0, 1
ANY = Caps()


def link(seconds: float) -> Prediction:
    """The remote plan takes so long on the link, and 20 ms of work."""
    cloud = CloudState("pc", True, 0.0, seconds / 10_000, 0.0, 0.1, 1.0, 0.1, 0.0)
    return predict(PLANS, DEVICE, [cloud], Request(0.0, (0.0,), None), 0.95)


def chooser() -> Chooser:
    return Chooser(Stickiness(gain_s=0.005, gain_ratio=0.05), explore_share=0.02)


def test_it_stays_until_a_switch_is_worth_it() -> None:
    it = chooser()
    assert it.choose("a", PLANS, link(0.070), Caps()).row == REMOTE
    kept = it.choose("a", PLANS, link(0.083), Caps())
    assert (kept.row, kept.reason) == (REMOTE, Reason.KEPT)
    assert it.choose("a", PLANS, link(0.2), Caps()).row == LOCAL


def test_each_kind_has_its_own_past() -> None:
    it = chooser()
    it.choose("a", PLANS, link(0.070), Caps())
    assert it.choose("b", PLANS, link(0.083), Caps()).row == LOCAL
    assert it.choose("a", PLANS, link(0.083), Caps()).row == REMOTE


def test_a_call_of_no_kind_leaves_no_trace() -> None:
    it = chooser()
    it.choose("a", PLANS, link(0.070), Caps())
    assert it.choose(None, PLANS, link(0.083), Caps()).row == LOCAL
    assert it.choose("a", PLANS, link(0.083), Caps()).row == REMOTE


def test_a_plan_that_is_gone_is_no_past() -> None:
    it = chooser()
    it.choose("a", PLANS, link(0.070), Caps())
    only = Candidates(PLANS.rows[:1])
    prediction = predict(only, DEVICE, [], Request(0.0, (), None), 0.95)
    assert it.choose("a", only, prediction, Caps()).reason is Reason.CHOSEN


def test_the_past_is_bounded() -> None:
    it = chooser()
    it.choose("first", PLANS, link(0.070), Caps())
    for kind in range(100):
        it.choose(kind, PLANS, link(0.070), Caps())
    assert it.choose("first", PLANS, link(0.083), Caps()).row == LOCAL


def hedged(*seconds: float) -> Prediction:
    """What each plan takes on average where the device runs the tail beside it."""
    return replace(link(seconds[REMOTE]), hedged_s=np.array(seconds))


def choices(prediction: Prediction, calls: int, caps: Caps = ANY) -> list[Reason]:
    it = chooser()
    return [it.choose("a", PLANS, prediction, caps).reason for _ in range(calls)]


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
    decisions = [it.choose("a", PLANS, prediction, Caps()) for _ in range(20)]
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
        it.choose("a", PLANS, hedged(0.100, 0.5), Caps())
    tries = [it.choose("a", PLANS, hedged(0.100, 0.107), Caps()).reason for _ in range(5)]
    assert tries.count(Reason.EXPLORED) <= 3
