"""The daemon's own parts under a virtual clock: what a simulation could not show before it drove them."""

from __future__ import annotations

import logging
import random
from itertools import pairwise

import pytest

from collabd.catalog.package.package import Package
from collabd.config import DeviceConfig, EnergySettings, FailoverSettings, PlanningSettings, PolicySettings
from collabd.device.journal import log as journal_log
from collabd.planning.precisions import IN_FP32
from collabd.sensing.power.board import board_power
from collabd.simulation.daemon import daemon_outcomes
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.workload import Workload
from collabd.simulation.world import Exchange, Outcome, World
from tests.unit.simulation.conftest import WHOLE_MS, Loads, even_profile

FAST, RTT_S = 1e6, 0.02


def outcomes(work: Workload, trace: Trace, config: DeviceConfig | None = None, every_s: float = 0.25) -> list[Outcome]:
    world = World(work, trace, rtt_s=None, power=board_power("pi4"))
    config = config or DeviceConfig(planning=PlanningSettings(min_fidelity=0.0))
    return daemon_outcomes(world, config, energy=EnergySettings(board="pi4"), every_s=every_s)


def on(*steps: tuple[float, float]) -> Trace:
    return Trace([TraceStep(*step, RTT_S) for step in steps], repeat=False)


def test_the_companion_is_known_before_the_first_request(workload: Loads) -> None:
    first = outcomes(workload(1), on((1.0, FAST)))[0]
    assert first.exchange is not None
    assert (first.started_s, first.late) == (0.0, False)


def test_a_call_takes_the_profiles_times_and_the_traces(workload: Loads) -> None:
    work = workload(8)
    for request, one in enumerate(outcomes(work, on((1.0, FAST)))):
        luck, exchange = work.draw(request), one.exchange
        assert exchange is not None
        assert exchange.up_bytes == pytest.approx(work.up_bytes(one.plan, luck))
        here_s = (work.prep_s + one.plan.head_s + one.plan.encode_s) * luck.device
        assert one.latency_s == pytest.approx(here_s + exchange.ended_s - exchange.began_s)
        assert one.started_s == pytest.approx(0.25 * request)


def test_the_world_reckons_with_the_same_luck(workload: Loads) -> None:
    work, trace = workload(20), on((1.0, 2e4))
    world = World(work, trace, rtt_s=None, power=board_power("pi4"))
    for request, one in enumerate(outcomes(work, trace)):
        if not one.hedged_s and one.exchange is not None and not one.exchange.queued_s:
            told = world.run(one.plan, request, one.started_s)
            assert one.latency_s == pytest.approx(told.latency_s)
            assert one.energy_j == pytest.approx(told.energy_j)


def test_a_companion_that_is_lost_is_left_alone_and_then_found_again(workload: Loads) -> None:
    open_s = FailoverSettings().breaker_open_s
    trace = on((5.0, FAST), (20.0, 0.0), (60.0, FAST))
    ours = outcomes(workload(200), trace)
    lost = [one for one in ours if 8.0 < one.started_s < 24.0]
    assert sum(one.exchange is None for one in lost) > len(lost) / 2
    assert max(one.latency_s for one in lost) < 0.4
    back = [one for one in ours if one.started_s > 25.0 + open_s + 2.0]
    assert all(one.exchange is not None and not one.late for one in back)


@pytest.mark.parametrize("every_s", [0.01, 0.25])
def test_what_is_given_up_belongs_to_the_call_that_sent_it(workload: Loads, every_s: float) -> None:
    gaps = random.Random(1).choices((0.02, 0.1, 0.3), k=200)
    trace = Trace([TraceStep(*step) for gap in gaps for step in ((0.03, 3e5), (gap, 0.0))])
    ours = outcomes(workload(100), trace, every_s=every_s)
    assert any(one.late for one in ours)
    for one in ours:
        assert all(one.started_s <= exchange.began_s for exchange in one.exchanges)
        assert all(exchange.ended_s <= one.ended_s + 1e-9 for exchange in one.exchanges)
        assert one.late <= (one.hedged_s > 0)


def test_the_next_request_waits_until_a_stopped_tail_has_ended(workload: Loads) -> None:
    always = DeviceConfig(failover=FailoverSettings(hedge_price=0.0), planning=PlanningSettings(min_fidelity=0.0))
    work = workload(30)
    ours = outcomes(work, on((1.0, FAST)), always, every_s=0.001)
    stopped = [(request, *pair) for request, pair in enumerate(pairwise(ours)) if pair[0].hedged_s and not pair[0].late]
    assert stopped
    for request, one, after in stopped:
        assert after.started_s == pytest.approx(one.ended_s + work.stop_s(work.draw(request)))


def test_pins_are_kept(workload: Loads) -> None:
    """The last layer stays here, so that a tail at the companion sends its features back."""
    work = workload(12)
    name = work.package.manifest.name
    config = DeviceConfig(
        planning=PlanningSettings(min_fidelity=0.0), policies=(PolicySettings(model=name, pin_last=1),)
    )
    ours = outcomes(work, on((1.0, FAST)), config)
    pinned = [one for one in ours if one.exchange is not None]
    assert pinned
    assert all(one.plan.cut.endswith("D") and "C" in one.plan.cut for one in pinned)


class BrokenWorld(World):
    """Its link fails with a defect once requests come."""

    def exchange(
        self, began_s: float, up_bytes: float, down_bytes: float, *, work_s: float = 0.0, free_s: float = 0.0
    ) -> Exchange:
        if work_s:
            raise LookupError("a defect")
        return super().exchange(began_s, up_bytes, down_bytes, work_s=work_s, free_s=free_s)


def test_a_defect_is_raised_and_not_survived(workload: Loads) -> None:
    world = BrokenWorld(workload(3), on((1.0, FAST)), rtt_s=None, power=board_power("pi4"))
    with pytest.raises(LookupError, match="a defect"):
        daemon_outcomes(world, DeviceConfig(), energy=EnergySettings(board="pi4"), every_s=0.25)


def test_the_journal_of_this_machine_hears_nothing(workload: Loads, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcomes(workload(80), on((5.0, FAST), (60.0, 0.0)))
    assert not caplog.records
    assert not journal_log.disabled


def test_heads_and_tails_in_int8_take_the_times_of_their_own(int8_package: Package) -> None:
    profile = even_profile(int8_package, whole_ms=WHOLE_MS, codec_ms=0.02)
    work = Workload(int8_package, profile, slowdown=8.0, requests=8, seed=0)
    assert {plan.precisions for plan in work.raw_plans.rows} == {IN_FP32}
    for fidelity, precision in ((0.99, "int8"), (1.0, "fp32")):
        config = DeviceConfig(planning=PlanningSettings(min_fidelity=fidelity))
        for rate in (FAST, 2e4):
            for request, one in enumerate(outcomes(work, on((1.0, rate)), config)):
                assert (one.plan.tail, one.plan.fidelity >= fidelity) == (precision, True)
                if one.exchange is None:
                    here_s = (work.prep_s + one.plan.head_s) * work.draw(request).device
                    assert one.latency_s == pytest.approx(here_s)
                elif not one.hedged_s:
                    luck, exchange = work.draw(request), one.exchange
                    here_s = (work.prep_s + one.plan.head_s + one.plan.encode_s) * luck.device
                    assert one.latency_s == pytest.approx(here_s + exchange.ended_s - exchange.began_s)
