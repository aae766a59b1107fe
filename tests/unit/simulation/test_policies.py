"""Each policy on links made by hand, where what is right can be said beforehand."""

from __future__ import annotations

import random
from statistics import mean

import pytest

from collabd.codec import USUAL_JPEG
from collabd.config import DeviceConfig, FailoverSettings
from collabd.simulation.answers import RAW
from collabd.simulation.compare import POLICIES, Scenario, compare, possible
from collabd.simulation.replay import mean_latency_s
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.workload import Workload
from collabd.simulation.world import Outcome
from tests.unit.simulation.conftest import Loads

EVERY_S = 0.25
FAST, SLOW = 1e6, 1e3  # bytes/s: a fast link, and one on which only staying at home is right
HEADS = ("output",)


def run(workload: Workload, trace: Trace, *policies: str, fidelity: float = 0.0) -> dict[str, list[Outcome]]:
    return compare(workload, Scenario(trace=trace, every_s=EVERY_S, rtt_s=None, min_fidelity=fidelity), policies)


def on(*steps: tuple[float, float]) -> Trace:
    return Trace([TraceStep(*step) for step in steps], repeat=False)


def test_local_takes_what_the_device_takes(workload: Loads) -> None:
    outcomes = run(workload(50), on((1.0, FAST)), "local")["local"]
    assert mean(one.latency_s for one in outcomes) == pytest.approx(8 * 0.0201, rel=0.02)
    assert all(one.exchange is None for one in outcomes)


def test_remote_takes_the_link_twice_and_the_round_trip(workload: Loads) -> None:
    work = workload(1)
    one = run(work, on((1.0, 10_000.0)), "remote_raw")["remote_raw"][0]
    luck = work.draw(0)
    assert one.exchange is not None
    moved = work.up_bytes(one.plan, luck) + one.plan.down_bytes
    busy = (work.prep_s + one.plan.encode_s) * luck.device
    there = (one.plan.decode_s + one.plan.tail_s) * luck.cloud
    assert one.latency_s == pytest.approx(busy + moved / 10_000 + 0.02 + there)


def test_a_trace_states_its_own_round_trip(workload: Loads) -> None:
    near, far = (
        run(workload(1), Trace([TraceStep(1.0, FAST, rtt)], repeat=False), "remote_raw")["remote_raw"][0]
        for rtt in (0.0, 0.3)
    )
    assert far.latency_s - near.latency_s == pytest.approx(0.3)


def test_jpeg_says_how_faithful_it_is(workload: Loads) -> None:
    outcomes = run(workload(3), on((1.0, FAST)), "remote_jpeg")["remote_jpeg"]
    assert {one.plan.codec for one in outcomes} == {USUAL_JPEG}
    assert all(one.plan.fidelity < 1 for one in outcomes)


def test_static_is_the_best_of_all_that_never_change(workload: Loads) -> None:
    trace = on((5.0, FAST), (5.0, SLOW))
    runs = run(workload(40), trace)
    static = runs["static"]
    assert len({one.plan for one in static}) == 1
    assert mean_latency_s(static) <= min(mean_latency_s(runs[name]) for name in ("local", "remote_raw", "remote_jpeg"))


def test_the_oracle_is_never_behind_what_does_not_change(workload: Loads) -> None:
    runs = run(workload(60), on((4.0, FAST), (3.0, SLOW), (9.0, 3e4)))
    for index, best in enumerate(runs["oracle"]):
        assert best.latency_s <= runs["local"][index].latency_s * (1 + 1e-9)
    assert mean_latency_s(runs["oracle"]) <= mean_latency_s(runs["static"])


@pytest.mark.parametrize("name", ["neurosurgeon", "dads"])
def test_the_papers_follow_the_bandwidth_and_do_not_compress(workload: Loads, name: str) -> None:
    work = workload(80)
    outcomes = run(work, on((10.0, FAST), (60.0, SLOW)), name)[name]
    before, after = outcomes[4:36], outcomes[60:]
    assert {one.plan.codec for one in before} <= {RAW, "u8"}
    assert {one.plan.cut for one in after} == {"output"}
    # The formula: head + bytes / bandwidth + tail, without the round trip.
    plans = work.raw_plans.rows
    cost = [8 * one.head_s + (0 if one.cloud is None else one.up_bytes / FAST) + one.tail_s for one in plans]
    assert {one.plan for one in before} == {plans[cost.index(min(cost))]}


@pytest.mark.parametrize("rate", [SLOW, 2e4, 1e5, FAST])
def test_on_a_steady_link_collabd_equals_the_oracle_after_the_first_calls(workload: Loads, rate: float) -> None:
    runs = run(workload(120), on((1.0, rate)), "collabd", "oracle")
    ours, best = runs["collabd"][5:], runs["oracle"][5:]
    assert mean_latency_s(ours) <= 1.02 * mean_latency_s(best)


@pytest.mark.parametrize("factor", [10, 100])
def test_a_drop_is_answered_from_the_second_request(workload: Loads, factor: float) -> None:
    runs = run(workload(80), on((10.125, 1e5), (60.0, 1e5 / factor)), "collabd", "oracle")
    hit = next(index for index, one in enumerate(runs["collabd"]) if one.ended_s > 10.125)
    ours = [one.latency_s for one in runs["collabd"][hit + 1 :]]
    best = [one.latency_s for one in runs["oracle"][hit + 1 :]]
    assert ours[0] <= 1.1 * best[0]
    assert mean(ours) <= 1.05 * mean(best)


def test_a_link_that_comes_back_is_used_again(workload: Loads) -> None:
    runs = run(workload(120), on((8.0, FAST), (10.0, SLOW), (60.0, FAST)), "collabd", "local")
    away = [(one, home) for one, home in zip(runs["collabd"], runs["local"], strict=True) if 9 < one.started_s < 17]
    # To try again meanwhile costs no time, since the device runs the tail beside it.
    assert all(one.latency_s < 1.05 * home.latency_s for one, home in away)
    assert any(one.exchange is None for one, _ in away)
    assert all(one.exchange is not None and not one.late for one in runs["collabd"] if one.started_s > 19)


def test_a_sure_link_is_not_hedged(workload: Loads) -> None:
    outcomes = run(workload(120), on((1.0, FAST)), "collabd")["collabd"][5:]
    assert all(one.exchange is not None and one.hedged_s == 0 for one in outcomes)


def test_an_unsure_link_is_hedged(workload: Loads) -> None:
    # 30 ms of plenty, then nothing for a while: an answer comes sooner than the device's, or much later.
    gaps = random.Random(1).choices((0.02, 0.05, 0.1, 0.2, 0.3), k=200)
    trace = Trace([TraceStep(*step) for gap in gaps for step in ((0.03, 3e5), (gap, 0.0))])
    runs = run(workload(200), trace)
    dear = DeviceConfig(failover=FailoverSettings(hedge_price=100.0))
    without = compare(
        workload(200), Scenario(trace=trace, every_s=EVERY_S, rtt_s=None, min_fidelity=0.0, config=dear), ["collabd"]
    )["collabd"]
    ours = runs["collabd"]
    assert sum(one.hedged_s > 0 for one in ours) > len(ours) / 3
    assert mean_latency_s(ours) < 0.95 * mean_latency_s(without)
    assert mean_latency_s(ours) < min(mean_latency_s(runs[name]) for name in ("local", "remote_jpeg", "static"))


def test_an_outage_costs_collabd_a_wait_and_the_tail(workload: Loads) -> None:
    runs = run(workload(100), on((5.0, FAST), (12.0, 0.0), (60.0, FAST)), "collabd", "remote_raw")
    worst = max(one.latency_s for one in runs["collabd"])
    assert worst < 0.4
    assert max(one.latency_s for one in runs["remote_raw"]) > 10
    assert any(one.late for one in runs["collabd"])


def test_collabd_keeps_the_fidelity_asked_for(workload: Loads) -> None:
    strict = run(workload(60), on((1.0, 3e4)), "collabd", "static", "oracle", fidelity=1.0)
    assert all(one.plan.fidelity == 1.0 for outcomes in strict.values() for one in outcomes)


def test_the_seed_settles_everything(workload: Loads) -> None:
    trace = on((4.0, FAST), (3.0, SLOW), (9.0, 3e4))
    assert run(workload(60, seed=3), trace) == run(workload(60, seed=3), trace)
    assert run(workload(60, seed=3), trace) != run(workload(60, seed=4), trace)


def test_a_package_without_jpeg_has_no_such_policy(workload: Loads) -> None:
    work = workload(1)
    assert possible(work) == [name for name in POLICIES if name != "local_int8"]
    work.all_plans = type(work.plans)([plan for plan in work.plans.rows if plan.codec != USUAL_JPEG])
    assert "remote_jpeg" not in possible(work)


def test_a_dead_link_is_refused(workload: Loads) -> None:
    with pytest.raises(ValueError, match="lets nothing through"):
        run(workload(1), on((1.0, 0.0)), "local")
