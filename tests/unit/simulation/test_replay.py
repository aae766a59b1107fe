"""When requests start and probes go out, and what a request takes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from collabd.planning import Candidate
from collabd.sensing.power.board import board_power
from collabd.simulation.policies import Fixed
from collabd.simulation.replay import replay
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.world import Exchange, Outcome, World
from tests.unit.simulation.conftest import Loads

POWER = board_power("pi4")


def world(workload: Loads, requests: int, rate: float = 1e6) -> World:
    return World(workload(requests), Trace([TraceStep(1.0, rate, 0.0)], repeat=False), rtt_s=None, power=POWER)


def remote(it: World) -> Candidate:
    return next(plan for plan in it.workload.plans.rows if plan.codec == "u8")


class Prober(Fixed):
    """Stays on the device and probes each second."""

    def __init__(self, it: World) -> None:
        super().__init__(it.workload.plans.rows[0])
        self.seen: list[Exchange] = []
        self.last = 0.0

    def probe_due(self, now: float) -> tuple[float, int]:  # type: ignore[override]
        return max(now, self.last + 1.0), 1000

    def learn_probe(self, probe: Exchange) -> None:
        self.seen.append(probe)
        self.last = probe.ended_s


def test_a_request_comes_at_its_time_or_when_the_one_before_is_answered(workload: Loads) -> None:
    it = world(workload, 6)
    spaced = replay(it, Fixed(it.workload.plans.rows[0]), 1.0)
    assert [one.started_s for one in spaced] == [0, 1, 2, 3, 4, 5]
    busy = replay(it, Fixed(it.workload.plans.rows[0]), 0.01)
    for before, after in pairwise(busy):
        assert after.started_s == before.ended_s


def test_probes_go_out_when_due(workload: Loads) -> None:
    it = world(workload, 40)
    policy = Prober(it)
    replay(it, policy, 0.25)
    assert len(policy.seen) in range(8, 11)  # one a second, for 10 s
    assert all(probe.up_bytes > 1000 for probe in policy.seen)


def test_a_probe_on_a_dead_link_is_given_up(workload: Loads) -> None:
    trace = Trace([TraceStep(0.5, 1e6, 0.0), TraceStep(60.0, 0.0, 0.0)])
    policy = Prober(it := World(workload(60), trace, rtt_s=None, power=POWER))
    replay(it, policy, 0.25)
    assert [probe.late for probe in policy.seen] == [True]
    assert policy.seen[0].link_s == pytest.approx(10.0)


def test_energy_is_busy_idle_and_sending(workload: Loads) -> None:
    it = world(workload, 1)
    one: Outcome = it.run(it.workload.plans.rows[0], 0, 0.0)
    assert one.energy_j == pytest.approx(POWER.busy_w * one.latency_s)
    sent = it.run(remote(it), 0, 0.0)
    assert POWER.idle_w * sent.latency_s < sent.energy_j < POWER.busy_w * sent.latency_s
