"""Choosing with a memory."""

from __future__ import annotations

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


def link(seconds: float) -> Prediction:
    """The remote plan takes so long on the link, and 20 ms of work."""
    cloud = CloudState("pc", True, 0.0, seconds / 10_000, 0.1, 1.0, 0.1, 0.0)
    return predict(PLANS, DEVICE, [cloud], Request(0.0, (0.0,), None), 0.95)


def chooser() -> Chooser:
    return Chooser(Stickiness(gain_s=0.005, gain_ratio=0.05))


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
