"""How soon the plan is right after the link has become ten times as fast, or as slow: the daemon under a virtual clock.

At 5 Mbit/s the device alone is faster, at 50 Mbit/s the companion is. So no call shows that the slow link has become
fast: only probes do, and they may take 1 % of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from collabd.catalog.package.package import load
from collabd.config import DeviceConfig, EnergySettings, PlanningSettings
from collabd.planning import Candidate
from collabd.sensing.power.board import board_power
from collabd.simulation.daemon import daemon_outcomes
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.workload import Workload
from collabd.simulation.world import Outcome, World
from tests.unit.simulation.conftest import even_profile

PACKAGE = Path(__file__).parents[3] / "models/efficientnet_lite0/package"
SLOW, FAST = 5e6 / 8, 50e6 / 8
PHASE_S = 15.0
# The companion takes 10 ms for the network.
WHOLE_MS = 10.0
# A plan is right if it, or the race that it was run in, takes at most 5 % longer than the best plan.
RIGHT = 1.05
POWER = board_power("pi4")


@dataclass(frozen=True)
class Scenario:
    """A call each `every_s` seconds, the first `first_s` seconds behind each change of the link.

    `slowdown`: how many times slower than the companion the device is. `up_by`, `down_by`: from which call on the plan
    is right after the link became faster and slower.
    """

    because: str
    every_s: float
    first_s: float
    rtt_s: float
    slowdown: float
    up_by: int
    down_by: int


SCENARIOS = [
    # 1 % of 5 Mbit/s is a probe of 2 kB in 0.35 s, so that up to four calls go by before one. The first call on the
    # slower link meets it; how late it is tells the next.
    Scenario("near, each 100 ms", 0.1, 0.01, 0.005, 2.8, up_by=5, down_by=2),
    Scenario("near, each 100 ms, a little later", 0.1, 0.06, 0.005, 2.8, up_by=5, down_by=2),
    Scenario("far, each 100 ms", 0.1, 0.01, 0.04, 6.2, up_by=5, down_by=2),
    Scenario("far, each 100 ms, a little later", 0.1, 0.06, 0.04, 6.2, up_by=5, down_by=2),
    Scenario("near, each second, no probe before the first", 1.0, 0.01, 0.005, 2.8, up_by=2, down_by=2),
    Scenario("far, each second, no probe before the first", 1.0, 0.01, 0.04, 6.2, up_by=2, down_by=2),
    Scenario("near, each second, a probe before the first", 1.0, 0.6, 0.005, 2.8, up_by=1, down_by=2),
    Scenario("far, each second, a probe before the first", 1.0, 0.6, 0.04, 6.2, up_by=1, down_by=2),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.because)
def test_the_plan_is_right_soon(scenario: Scenario) -> None:
    work = _workload(scenario, requests=int((3 * PHASE_S - 1) / scenario.every_s))
    start = scenario.every_s - scenario.first_s
    trace = Trace([TraceStep(PHASE_S + start, SLOW), TraceStep(PHASE_S, FAST), TraceStep(2 * PHASE_S, SLOW)])
    config = DeviceConfig(planning=PlanningSettings(min_fidelity=0.0))
    world = World(work, trace, rtt_s=scenario.rtt_s, power=POWER)
    every = daemon_outcomes(world, config, energy=EnergySettings(board="pi4"), every_s=scenario.every_s)
    up_s, down_s = PHASE_S + start, 2 * PHASE_S + start
    for rate, since_s, due in ((FAST, up_s, scenario.up_by), (SLOW, down_s, scenario.down_by)):
        steady = World(work, Trace.constant(rate), rtt_s=scenario.rtt_s, power=POWER)
        best = _best(steady)
        assert (best.cloud is None) == (rate == SLOW)
        calls = [(place, one) for place, one in enumerate(every) if since_s <= one.started_s < since_s + PHASE_S - 1.0]
        right = [_is_right(steady, place, one, best) for place, one in calls]
        assert all(right[due - 1 : due + 9]), [(one.plan.codec, one.latency_s) for _, one in calls[:12]]
        assert calls[due - 1][1].started_s - since_s <= 2.0
        assert mean(right[due - 1 :]) > 0.9


def _workload(scenario: Scenario, requests: int) -> Workload:
    package = load(PACKAGE)
    profile = even_profile(package, whole_ms=WHOLE_MS, codec_ms=0.2, runs_int8=False)
    return Workload(package, profile, slowdown=scenario.slowdown, requests=requests, seed=0)


def _best(world: World) -> Candidate:
    """The plan that takes least on a steady link."""
    plans = world.workload.plans.rows
    return min(plans, key=lambda plan: mean(world.run(plan, request, 0.0).latency_s for request in range(5)))


def _is_right(world: World, request: int, taken: Outcome, best: Candidate) -> bool:
    least_s = world.run(best, request, 0.0).latency_s
    return min(world.run(taken.plan, request, 0.0).latency_s, taken.latency_s) <= RIGHT * least_s
