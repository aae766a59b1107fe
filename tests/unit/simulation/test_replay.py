"""The virtual clock: when requests start, probes go out, and who wins a race."""

from __future__ import annotations

from itertools import pairwise

import pytest

from collabd.sensing.power.board import board_power
from collabd.simulation.policies import Fixed
from collabd.simulation.replay import Choice, replay
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.world import Exchange, Outcome, World
from tests.unit.simulation.conftest import Loads

POWER = board_power("pi4")


def world(workload: Loads, requests: int, rate: float = 1e6) -> World:
    return World(workload(requests), Trace([TraceStep(1.0, rate, 0.0)], repeat=False), None, POWER)


def remote(it: World) -> Choice:
    return Choice(next(plan for plan in it.workload.plans.rows if plan.codec == "u8"))


class Impatient(Fixed):
    """The same choice always, with its patience."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice


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


def test_an_upload_that_was_given_up_still_takes_the_link(workload: Loads) -> None:
    it = world(workload, 2, rate=2000.0)
    plan = remote(it).plan
    first, second = replay(it, Impatient(Choice(plan, 0.0)), 0.01)
    assert first.late
    assert first.exchange is not None
    assert second.exchange is not None
    assert second.started_s < first.exchange.sent_s  # the device was first, long before the bytes were through
    alone = it.run(plan, 1, second.started_s).exchange
    assert alone is not None
    behind_s = first.exchange.sent_s - second.exchange.began_s
    assert second.exchange.queued_s == pytest.approx(behind_s)
    assert second.exchange.up_s == pytest.approx(alone.up_s + behind_s)


def test_a_probe_on_a_dead_link_is_given_up(workload: Loads) -> None:
    trace = Trace([TraceStep(0.5, 1e6, 0.0), TraceStep(60.0, 0.0, 0.0)])
    policy = Prober(it := World(workload(60), trace, None, POWER))
    replay(it, policy, 0.25)
    assert [probe.late for probe in policy.seen] == [True]
    assert policy.seen[0].seconds == pytest.approx(10.0)


def test_the_device_finishes_what_is_late(workload: Loads) -> None:
    it = world(workload, 1, rate=100.0)
    sent = it.run(remote(it).plan, 0, 0.0)
    done = it.finish_here(sent, 0, 0.05)
    assert done.late
    assert done.local_tail_s is not None
    assert done.latency_s == pytest.approx(sent.latency_s - sent.exchange.seconds + 0.05 + done.local_tail_s)  # type: ignore[union-attr]
    assert done.energy_j < sent.energy_j


def test_an_answer_in_time_is_taken(workload: Loads) -> None:
    it = world(workload, 1)
    sent = it.run(remote(it).plan, 0, 0.0)
    assert it.finish_here(sent, 0, 1.0) is sent


def test_a_late_answer_may_be_first_and_the_device_has_to_stop(workload: Loads) -> None:
    it = world(workload, 1)
    sent = it.run(remote(it).plan, 0, 0.0)
    done = it.finish_here(sent, 0, sent.exchange.seconds - 0.001)  # type: ignore[union-attr]
    assert not done.late
    assert done.latency_s == pytest.approx(sent.latency_s)
    assert done.energy_j > sent.energy_j
    stop_s = it.workload.stop_s(it.workload.draw(0))
    assert done.idle_at_s == pytest.approx(done.ended_s + stop_s)
    assert done.hedged_s == pytest.approx(0.001 + stop_s)
    assert stop_s < 0.2 * it.workload.rest_s(sent.plan, it.workload.draw(0))


def test_energy_is_busy_idle_and_sending(workload: Loads) -> None:
    it = world(workload, 1)
    one: Outcome = it.run(it.workload.plans.rows[0], 0, 0.0)
    assert one.energy_j == pytest.approx(POWER.busy_w * one.latency_s)
    sent = it.run(remote(it).plan, 0, 0.0)
    assert POWER.idle_w * sent.latency_s < sent.energy_j < POWER.busy_w * sent.latency_s
