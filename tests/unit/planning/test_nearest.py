"""Where no plan keeps all caps surely enough: the likeliest, and of equals the one that exceeds them least."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import pytest

from collab_sdk.vocabulary import Reason
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
from collabd.planning.choose import SwitchGain
from collabd.planning.nearest import expected_excess, keeps, nearness_to_caps, normal

DEVICE = DeviceState(
    speed=1.0, spread=0.06, busy_w=6.4, idle_w=2.7, tx_w_per_mbps=0.002, tx_base_w=0.1, overhead_s=0.001
)
CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.006,
    up_s_per_byte=8 / 0.5e6,
    down_s_per_byte=8 / 0.5e6,
    link_spread=0.5,
    speed=1.0,
    speed_spread=0.06,
    queue_s=0.0,
)
# The device takes 76 ms, give or take 5; the companion 54 ms, give or take 18.
PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=0.0755, local_tail_s=0.0755),
        Candidate(
            cut="image", codec="source", cloud=0, up_bytes=280, down_bytes=900, tail_s=0.010, local_tail_s=0.0755
        ),
    ]
)
LOCAL, REMOTE = 0, 1


def evaluate(cloud: CloudState = CLOUD, device: DeviceState = DEVICE, quantile: float = 0.98) -> Prediction:
    return predict(PLANS, device=device, clouds=[cloud], call=CallFacts(0.0, (0.001,), 1050), quantile=quantile)


@dataclass
class Scenario:
    because: str
    caps: Caps
    row: int
    cloud: CloudState = CLOUD
    unmet: tuple[str, ...] = ("latency",)


SCENARIOS = [
    Scenario("an even chance is better than none", Caps(latency_s=0.055), REMOTE),
    Scenario("four in five are better than one in ten", Caps(latency_s=0.070), REMOTE),
    Scenario("one in four is better than none", Caps(latency_s=0.045), REMOTE),
    Scenario("a lottery is no better than a plan that is nearly sure", Caps(latency_s=0.0855), LOCAL),
    Scenario(
        "neither has a chance, and the device is nearer",
        Caps(latency_s=0.002),
        LOCAL,
        replace(CLOUD, up_s_per_byte=1e-3),
    ),
    Scenario(
        "neither has a chance, and the companion is nearer",
        Caps(latency_s=0.002),
        REMOTE,
        replace(CLOUD, link_spread=0.1),
    ),
    Scenario(
        "a second of upload is none, however uncertain",
        Caps(latency_s=0.07),
        LOCAL,
        replace(CLOUD, up_s_per_byte=1e-3, link_spread=2.0),
    ),
    Scenario("the companion may do with this energy", Caps(energy_j=0.15), REMOTE, unmet=("energy",)),
    Scenario("of two caps the least likely counts", Caps(latency_s=0.080, energy_j=0.30), REMOTE, unmet=("latency",)),
    Scenario(
        "nobody is asked who may not be paid",
        Caps(latency_s=0.055, cost=0.0),
        LOCAL,
        replace(CLOUD, price_per_request=1.0),
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.because)
def test_scenarios(scenario: Scenario) -> None:
    decision = choose(PLANS, evaluate(scenario.cloud), scenario.caps)
    assert (decision.row, decision.reason, decision.unmet) == (scenario.row, Reason.NEAREST, scenario.unmet)


def test_it_stays_with_a_plan_that_is_nearly_as_likely() -> None:
    caps, switch_gain = Caps(latency_s=0.055), SwitchGain(0.0, 0.03)
    for up_s_per_byte, row in ((1.6e-5, REMOTE), (1.1e-4, LOCAL)):
        prediction = evaluate(replace(CLOUD, up_s_per_byte=up_s_per_byte))
        kept = choose(PLANS, prediction, caps, previous=row, switch_gain=switch_gain)
        assert kept.row == row
    # Their chances differ by far, or the excess does.
    assert choose(PLANS, evaluate(), caps, previous=LOCAL, switch_gain=switch_gain).row == REMOTE
    hopeless = Caps(latency_s=0.01)
    near = evaluate(replace(CLOUD, up_s_per_byte=2.2e-5, link_spread=0.05))
    assert choose(PLANS, near, hopeless).row == REMOTE
    kept = choose(PLANS, near, hopeless, previous=LOCAL, switch_gain=SwitchGain(0.0, 2.0))
    assert (kept.row, kept.reason, kept.unmet) == (LOCAL, Reason.NEAREST, ("latency",))


@pytest.mark.parametrize("spread", [0.1, 0.17, 0.2, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("cap_s", [0.080, 0.0855, 0.086, 0.1, 0.2])
@pytest.mark.parametrize("up_s_per_byte", [8 / 0.4e6, 8 / 0.5e6, 8 / 0.65e6])
def test_a_deadline_that_the_device_may_keep_makes_no_call_slower(
    spread: float, cap_s: float, up_s_per_byte: float
) -> None:
    cloud = replace(CLOUD, link_spread=spread, up_s_per_byte=up_s_per_byte)
    prediction = hedged(PLANS, evaluate(cloud), clouds=[cloud], price=0.1)
    free, capped = (choose(PLANS, prediction, Caps(latency_s=cap)).row for cap in (None, cap_s))
    assert prediction.expected_s[capped] <= 1.01 * prediction.expected_s[free]


def test_where_the_device_finishes_itself_the_deadline_is_kept_either_way() -> None:
    prediction = hedged(PLANS, evaluate(), clouds=[CLOUD], price=0.1)
    assert choose(PLANS, prediction, Caps(latency_s=0.1)).unmet == ()
    assert prediction.deadline_s[REMOTE] == pytest.approx(prediction.deadline_s[LOCAL])
    # Without a race the companion alone would have to.
    assert evaluate().deadline_s[REMOTE] > 0.08
    alone, both = (nearness_to_caps(each, Caps(latency_s=0.08)).chance for each in (evaluate(), prediction))
    assert both[REMOTE] == pytest.approx(1 - (1 - alone[REMOTE]) * (1 - alone[LOCAL]), abs=1e-6)


def test_a_deadline_that_the_device_cannot_keep_is_no_race() -> None:
    caps = Caps(latency_s=0.05)
    alone, both = (
        nearness_to_caps(each, caps).chance
        for each in (evaluate(), hedged(PLANS, evaluate(), clouds=[CLOUD], price=0.1))
    )
    assert both == pytest.approx(alone)


def test_chance_and_excess_are_those_of_the_distribution() -> None:
    sampled = NormalDist(0.05, 0.01).samples(200_000, seed=1)
    median, deviation = np.array([0.05]), np.array([0.01])
    for cap in (0.05, 0.06, 0.08):
        kept = sum(each <= cap for each in sampled) / len(sampled)
        assert keeps(median, deviation, cap)[0] == pytest.approx(kept if cap > 0.05 else 1.0, abs=0.01)
    for cap in (0.03, 0.05, 0.06):
        over = sum(max(each - cap, 0.0) for each in sampled) / len(sampled) / cap
        assert expected_excess(median, deviation, cap)[0] == pytest.approx(over, rel=0.02)


def test_the_normal_distribution() -> None:
    deviations = np.linspace(-6, 6, 101)
    assert normal(deviations) == pytest.approx([NormalDist().cdf(each) for each in deviations])


def test_what_is_known_exactly_keeps_its_cap_or_does_not() -> None:
    assert keeps(np.array([0.0, 1.0, 2.0]), np.zeros(3), 1.0).tolist() == [1.0, 1.0, 0.0]
    assert keeps(np.array([0.0, 1e-9]), np.zeros(2), 0.0).tolist() == [1.0, 0.0]
