"""A companion, a link or the device was slow for a while, and is well again: how soon that is known, under each budget.

The clock is passed in. Nothing else tells of what was slow: neither sensors nor probes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf

import numpy as np
import pytest

from collab_sdk.vocabulary import Objective
from collabd.device.decide.chooser import Chooser, PastPlans
from collabd.planning import CallFacts, Candidate, Candidates, Caps, CloudState, DeviceState, choose, hedged, predict
from collabd.planning.choose import SwitchGain
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.link.estimate import LinkEstimate, Transfer

LOCAL_S, TAIL_S, SENT_BYTES = 0.076, 0.020, 1330.0
PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=LOCAL_S, local_tail_s=LOCAL_S),
        Candidate(
            cut="image", codec="source", cloud=0, up_bytes=280, down_bytes=900, tail_s=TAIL_S, local_tail_s=LOCAL_S
        ),
    ]
)
DEVICE = DeviceState(
    speed=1.0, spread=0.06, busy_w=6.4, idle_w=2.7, tx_w_per_mbps=0.002, tx_base_w=0.1, overhead_s=0.001
)
CALL = CallFacts(0.0, (0.001,), 1050)
NO_CAPS = Caps()


@dataclass
class Scenario:
    """One call each second; for so long the companion takes `tail` times as long, and the link `link` times."""

    because: str
    caps: Caps = NO_CAPS
    tail: float = 1.0
    link: float = 1.0
    slow_s: int = 300
    races: bool = False
    # Within how many seconds after it is well again it is asked as a rule.
    within_s: float = 300.0


SCENARIOS = [
    Scenario("it races", tail=10.0, races=True, within_s=5),
    Scenario("latency without a race", tail=10.0),
    Scenario("a deadline that both keep", Caps(latency_s=0.1), tail=3.0, races=True, within_s=5),
    Scenario("a deadline without a race", Caps(latency_s=0.1), tail=3.0),
    Scenario("a deadline that the device just keeps", Caps(latency_s=0.087), tail=20.0),
    Scenario("energy", Caps(objective=Objective.ENERGY), tail=10.0),
    Scenario("a cap on energy", Caps(energy_j=0.3), tail=10.0),
    Scenario("a cap on cost", Caps(cost=1e-3), tail=10.0, races=True, within_s=5),
    Scenario("cost and energy", Caps(cost=1e-3, energy_j=0.6), tail=100.0, within_s=600),
    Scenario("pace", Caps(objective=Objective.THROUGHPUT), tail=100.0),
    Scenario("half an hour", Caps(objective=Objective.THROUGHPUT), tail=10.0, slow_s=1800, within_s=600),
    Scenario("no deadline that could be kept", Caps(latency_s=0.01), tail=10.0),
    Scenario("the link, for energy", Caps(objective=Objective.ENERGY), link=1000.0, within_s=600),
    Scenario("the link, for its pace", Caps(objective=Objective.THROUGHPUT), link=1000.0, within_s=600),
    Scenario("the link, under a deadline", Caps(latency_s=0.1), link=1000.0, within_s=600),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.because)
def test_what_is_well_again_is_asked_again(scenario: Scenario) -> None:
    asked = calls(scenario, after_s=900)[-900:]
    assert any(asked)
    first = asked.index(True)
    assert first <= scenario.within_s
    assert np.mean(asked[first:]) > 0.9


def calls(scenario: Scenario, after_s: int) -> list[bool]:
    """Whether the companion was asked, each second, the last `after_s` of which it is well again."""
    rng = np.random.default_rng(0)
    speed, link, chooser = SpeedFactor(), LinkEstimate(0.7), Chooser(SwitchGain(5e-4, 0.03), 0.02, PastPlans())
    link.learn_rtt(0.002)
    asked, asked_at = [], -inf
    for second in range(60 + scenario.slow_s + after_s):
        now = 100.0 + second
        slow = 60 <= second < 60 + scenario.slow_s
        cloud = replace(seen(speed, link, now), unasked_s=now - asked_at)
        prediction = predict(PLANS, device=DEVICE, clouds=[cloud], call=CALL, quantile=0.98)
        prediction = hedged(PLANS, prediction, clouds=[cloud], price=0.1) if scenario.races else prediction
        weighed = chooser.weigh(PLANS, prediction, scenario.caps, kind="call")
        asks = PLANS.rows[chooser.turn(weighed, "call").row].cloud == 0
        if asks:
            asked_at = now
            luck = exp(rng.normal(0, 0.05))
            tail_s = TAIL_S * luck * (scenario.tail if slow else 1.0)
            moves_s = SENT_BYTES * luck * 1.6e-7 * (scenario.link if slow else 1.0)
            if not scenario.races or tail_s < LOCAL_S:
                speed.learn(measured_s=tail_s, profiled_s=TAIL_S, whole_s=TAIL_S, now=now)
                link.learn(Transfer(up_bytes=SENT_BYTES, up_s=0.001 + moves_s, down_bytes=900.0, down_s=0.0015), now)
        asked.append(asks)
    return asked


def seen(speed: SpeedFactor, link: LinkEstimate, now: float) -> CloudState:
    factor, reading = speed.read(now), link.read(now)
    return CloudState(
        name="pc",
        up=True,
        rtt_s=reading.rtt_s,
        up_s_per_byte=reading.up_s_per_byte,
        down_s_per_byte=reading.down_s_per_byte,
        link_spread=reading.spread,
        speed=factor.value,
        speed_spread=factor.spread,
        queue_s=0.0,
        price_per_request=1e-4,
    )


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_a_companion_that_stays_slow_is_asked_rarely(factor: float) -> None:
    """The profile says that it is faster than the device; it has long been so many times slower than that."""
    scenario = Scenario("pace", Caps(objective=Objective.THROUGHPUT), tail=factor * LOCAL_S / TAIL_S, slow_s=7200)
    asked = calls(scenario, after_s=0)[-3600:]
    assert 0 < np.mean(asked) * (factor - 1.0) < 0.06


@pytest.mark.parametrize("spike_s", [5, 60, 600])
def test_a_device_that_was_slow_is_trusted_again_though_nothing_ran(spike_s: int) -> None:
    """Calls that may not leave, and are refused where their cap is not kept."""
    speed, caps = SpeedFactor(), Caps(latency_s=2 * LOCAL_S)
    refused = []
    for second in range(60 + spike_s + 300):
        slow = 4.0 if 60 <= second < 60 + spike_s else 1.0
        factor = speed.read(float(second))
        device = replace(DEVICE, speed=factor.value, spread=factor.spread)
        prediction = predict(PLANS, device=device, clouds=[], call=CallFacts(0.0, (), None), quantile=0.98)
        unmet = choose(PLANS, prediction, caps, allowed=PLANS.local).unmet
        # In the spike others' work runs, which may take as long as it takes.
        if not unmet or 60 <= second < 60 + spike_s:
            speed.learn(measured_s=LOCAL_S * slow, profiled_s=LOCAL_S, whole_s=LOCAL_S, now=float(second))
        refused.append(bool(unmet))
    after = refused[60 + spike_s :]
    assert not any(after[120:])
    assert sum(after) <= 120
