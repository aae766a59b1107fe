"""The exchange with a simulated companion, asked by the device's own `Companion`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from collabd.config import CloudSettings, FailoverSettings, LinkSettings
from collabd.device.companions.answers import Question, RemoteAnswer
from collabd.device.companions.companion import Companion
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.package_supply import PackageSupply
from collabd.device.job.job import Crossing
from collabd.planning import Candidate
from collabd.sensing.power.board import board_power
from collabd.simulation.simulated_companion import SimulatedCompanion, SimulatedLink
from collabd.simulation.simulated_device import SimulatedThread, simulated_compute
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import run
from collabd.simulation.workload import Draw, Workload
from collabd.simulation.world import World
from tests.unit.simulation.conftest import Loads

T = TypeVar("T")

RTT_S, RATE = 0.1, 1e5
LUCK = Draw(8.0, 1.2, 0.0)


def asked(work: Workload, trace: Trace, ask: Callable[[Companion, SimulatedCompanion], Awaitable[T]]) -> T:
    """What `ask` returns, beginning at time 0."""

    async def main() -> T:
        clock = asyncio.get_running_loop().time
        world = World(work, trace, rtt_s=None, power=board_power("pi4"))
        there = SimulatedCompanion(work, SimulatedLink(world, clock), Turn(0, LUCK))
        pc = CloudSettings(name="pc", url="http://pc")
        companion = Companion(pc, LinkSettings(), FailoverSettings(), exchange=there, clock=clock)
        return await ask(companion, there)

    return run(main())


def steady(rate: float = RATE) -> Trace:
    return Trace([TraceStep(1.0, rate, RTT_S)], repeat=False)


def question(work: Workload, plan: Candidate) -> Question:
    """For the tail of a plan, with its features as the simulated device encodes them."""
    manifest = work.package.manifest
    cut = next(cut for cut in manifest.cuts if cut.name == plan.cut)
    model = work.model()
    compute = simulated_compute(work, model, SimulatedThread(stop_s=lambda: 0.0), turn=Turn(0, LUCK))
    crossing = Crossing(codec=plan.codec, channel_axis=None, decode_s=plan.decode_s, rest_s=plan.local_tail_s)
    features = dict.fromkeys(cut.tensors, model.blank["image"])
    inputs = compute.encode(features, crossing, model)
    outputs = manifest.output_names
    return Question(
        model=manifest.name,
        digest=work.package.digest,
        inputs=inputs,
        outputs=outputs,
        bytes_down=work.network.tensor("logits").nbytes,
        read=lambda found: {tensor.name: tensor.to_array() for tensor in found},
    )


def test_an_answer_comes_when_link_and_work_are_done(workload: Loads) -> None:
    work = workload(1)
    for plan in work.plans.rows[1:]:

        async def ask(companion: Companion, _: SimulatedCompanion) -> tuple[RemoteAnswer, float]:
            return await companion.infer(question(work, plan)), companion.clock()  # noqa: B023

        answer, ended_s = asked(work, steady(), ask)
        moved_s = (work.up_bytes(plan, LUCK) + plan.down_bytes) / RATE
        work_s = (plan.decode_s + plan.tail_s) * LUCK.cloud
        assert ended_s == pytest.approx(RTT_S + moved_s + work_s)
        assert answer.link_s == pytest.approx(RTT_S + moved_s)
        assert (answer.decode_s, answer.compute_s) == pytest.approx((plan.decode_s * 1.2, plan.tail_s * 1.2))


def test_the_device_learns_the_link_as_it_is(workload: Loads) -> None:
    async def ask(companion: Companion, _: SimulatedCompanion) -> None:
        for size in (0, 0, 4000, 0, 4000):
            await companion.ping(size)
        link = companion.link_now
        assert link.rtt_s == pytest.approx(RTT_S, rel=0.1)
        assert link.up_s_per_byte == pytest.approx(1 / RATE, rel=0.1)

    asked(workload(1), steady(), ask)


def test_it_holds_the_package_and_its_profile(workload: Loads) -> None:
    work = workload(1)

    async def ask(companion: Companion, _: SimulatedCompanion) -> None:
        await PackageSupply(companion, lambda: [work.package]).learn()
        assert companion.profiles[work.package.digest].cuts == work.profile.cuts

    asked(work, steady(), ask)


def test_what_is_sent_waits_for_what_was_sent_before_though_nobody_waits_for_that(workload: Loads) -> None:
    work = workload(1)
    plan = work.plan("image", "u8")

    async def ask(companion: Companion, there: SimulatedCompanion) -> None:
        first = asyncio.create_task(companion.infer(question(work, plan)))
        await asyncio.sleep(0.001)
        first.cancel()
        await companion.infer(question(work, plan))
        given_up, answered = there.answered
        assert (given_up.late, answered.late) == (True, False)
        assert given_up.ended_s == pytest.approx(0.001)
        assert answered.queued_s == pytest.approx(given_up.sent_s - 0.001)

    asked(work, steady(1e4), ask)


def test_who_waits_no_longer_is_told_so(workload: Loads) -> None:
    async def ask(companion: Companion, _: SimulatedCompanion) -> None:
        with pytest.raises(CompanionFailure) as failure:
            await companion.ping(0)
        assert failure.value.reason is FailureReason.LATE

    asked(workload(1), Trace([TraceStep(0.001, RATE, RTT_S), TraceStep(1e4, 0.0, RTT_S)]), ask)


def test_the_time_that_a_request_takes_to_come_in_is_that_of_all_but_its_first_packet(workload: Loads) -> None:
    async def ask(_: Companion, there: SimulatedCompanion) -> None:
        for size, rest in ((0, 0), (1000, 0), (4000, 2900)):
            reply = await there.call("POST", "/collab/v1/ping", data=[bytes(size)])
            assert reply.receive_s == pytest.approx(rest / RATE)
            assert reply.round_trip_s == RTT_S

    asked(workload(1), steady(), ask)


def test_before_the_trace_begins_the_link_is_as_in_its_first_moment(workload: Loads) -> None:
    work = workload(1)
    trace = Trace([TraceStep(1.0, RATE, RTT_S), TraceStep(1.0, RATE / 10, RTT_S)], repeat=False)
    world = World(work, trace, rtt_s=None, power=board_power("pi4"))
    times = iter((-5.0, -5.0, 0.0))
    link = SimulatedLink(world, lambda: next(times))
    early, later = link.exchange(1000.0, 100.0), link.exchange(1000.0, 100.0)
    assert (early.began_s, early.ended_s) == pytest.approx((-5.0, -5.0 + RTT_S + 1100 / RATE))
    assert later.link_s == pytest.approx(early.link_s)
