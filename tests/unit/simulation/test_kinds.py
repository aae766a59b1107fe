"""A kind of plans that is left out is left out of all that choose, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from collab_sdk.vocabulary import Precision, Sureness
from collabd.catalog.package.little import Ladder, Little, Threshold
from collabd.catalog.package.package import GRAPHS, Package
from collabd.codec import JPEG_CODECS
from collabd.planning import Candidate
from collabd.profiling.profile import Profile
from collabd.sensing.power.board import board_power
from collabd.simulation.compare import POLICIES, Scenario, compare, possible
from collabd.simulation.kinds import without_kinds
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload
from collabd.simulation.world import World

CHOOSING = ("static", "collabd", "oracle")
# Bytes/s: too slow to send anything.
SLOW = 1e3


@pytest.fixture
def no_int8(int8_package: Package, int8_profile: Profile) -> Workload:
    return Workload(int8_package, int8_profile, slowdown=8.0, requests=30, seed=0, without=["int8"])


@pytest.fixture
def all_kinds(int8_package: Package, int8_profile: Profile) -> Workload:
    return Workload(int8_package, int8_profile, slowdown=8.0, requests=30, seed=0)


def is_of(kind: str, plan: Candidate) -> bool:
    return {
        "jpeg": plan.codec in JPEG_CODECS,
        "split": plan.cut not in {"image", "output"},
        "int8": Precision.INT8 in plan.precisions,
    }[kind]


@pytest.mark.parametrize("kind", ["jpeg", "split", "int8"])
def test_plans_of_the_kind_and_no_others_are_left_out(
    int8_package: Package, int8_profile: Profile, all_kinds: Workload, kind: str
) -> None:
    work = Workload(int8_package, int8_profile, slowdown=8.0, requests=1, seed=0, without=[kind])
    assert any(is_of(kind, plan) for plan in all_kinds.plans.rows)
    assert work.all_plans.rows == all_kinds.plans.rows
    assert list(work.plans.rows) == [plan for plan in all_kinds.plans.rows if not is_of(kind, plan)]
    assert work.profile.is_complete(work.package.manifest)


def test_with_nothing_left_out_nothing_changes(int8_package: Package, int8_profile: Profile) -> None:
    assert without_kinds(int8_package, int8_profile, []) == (int8_package, int8_profile)


def test_who_chooses_takes_none_of_a_kind_that_is_left_out(all_kinds: Workload, no_int8: Workload) -> None:
    scenario = Scenario(trace=Trace.constant(SLOW), every_s=0.25, rtt_s=None, min_fidelity=0.99)
    runs, less = compare(all_kinds, scenario), compare(no_int8, scenario)
    assert possible(no_int8) == list(POLICIES)
    for policy in CHOOSING:
        assert all(is_of("int8", one.plan) for one in runs[policy][5:])
        assert not any(is_of("int8", one.plan) for one in less[policy])
    for policy in {*POLICIES} - {*CHOOSING}:
        assert runs[policy] == less[policy]
    assert all(is_of("int8", one.plan) for one in less["local_int8"])


def test_int8_takes_the_times_of_int8(all_kinds: Workload) -> None:
    scenario = Scenario(trace=Trace.constant(1e5), every_s=0.25, rtt_s=None, min_fidelity=0.99)
    world = World(all_kinds, scenario.trace, rtt_s=None, power=board_power("pi4"))
    outcomes = compare(all_kinds, scenario, ["collabd"])["collabd"]
    sent = [(request, one) for request, one in enumerate(outcomes) if one.exchange is not None and not one.hedged_s]
    assert any(is_of("int8", one.plan) for _, one in sent)
    for request, one in sent:
        assert one.latency_s == pytest.approx(world.run(one.plan, request, one.started_s).latency_s)


def test_without_int8_the_little_network_is_left_in_fp32(int8_package: Package, int8_profile: Profile) -> None:
    threshold = Threshold(least=0.8, share=0.5, sure_share=0.6, agreed=298, images=300)
    ladders = tuple(Ladder(precision=each, score=Sureness.MAX, thresholds=(threshold,)) for each in GRAPHS)
    little = Little(package="small", digest=f"sha256:{'a' * 64}", ladders=ladders)
    paired = replace(int8_package, manifest=msgspec.structs.replace(int8_package.manifest, little=little))
    left = without_kinds(paired, int8_profile, ["int8"])[0].manifest.little
    assert left is not None
    assert left.ladders == ladders[:1]
    assert without_kinds(paired, int8_profile, ["cascade"])[0].manifest.little is None
