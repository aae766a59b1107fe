"""A companion that fails in the middle of a call, under a virtual clock: the daemon's own parts, to the millisecond."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from collab_sdk import wire
from collabd.config import DeviceConfig, EnergySettings, PlanningSettings
from collabd.device.companions.exchange import CompanionReply
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.sensing.power.board import board_power
from collabd.simulation import virtual_time
from collabd.simulation.daemon import defects_raised
from collabd.simulation.device_daemon import VirtualDaemon
from collabd.simulation.simulated_companion import SimulatedCompanion, SimulatedLink
from collabd.simulation.traces import Trace
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.world import World
from tests.unit.simulation.conftest import Loads

RTT_S = 0.02
# The device takes 160 ms for the network; a companion answers in some 40 ms.
ALONE_S, THERE_S = 0.16, 0.04


class Fails(SimulatedCompanion):
    """Takes requests, and is lost so many seconds later."""

    after_s = 0.0
    reason = FailureReason.UNREACHABLE
    asked = 0

    async def call(self, method: str, path: str, **sent: Any) -> CompanionReply:
        if not path.endswith("/infer"):
            return await super().call(method, path, **sent)
        self.asked += 1
        await asyncio.sleep(self.after_s)
        raise CompanionFailure(self.reason, "the connection was lost")


@dataclass(frozen=True)
class Call:
    """What became of a call, and how often each companion was asked."""

    latency_s: float
    said: Mapping[str, Any]
    asked: int
    answered: int


@pytest.fixture
def called(workload: Loads) -> Any:
    """Makes the first call of a daemon with two companions, of which the first fails `after_s` seconds."""

    def make(
        *, after_s: float, budget: str = "", rtt_s: float = RTT_S, reason: FailureReason = FailureReason.UNREACHABLE
    ) -> Call:
        work = workload(1)

        async def call() -> Call:
            clock, turn = asyncio.get_running_loop().time, Turn(0, work.draw(0))

            def link(seconds: float) -> SimulatedLink:
                trace = Trace.constant(20e6 / 8)
                return SimulatedLink(World(work, trace, rtt_s=seconds, power=board_power("pi4")), clock)

            # The nearer one is asked.
            one, two = Fails(work, link(RTT_S / 2), turn), SimulatedCompanion(work, link(rtt_s), turn)
            one.after_s, one.reason = after_s, reason
            exchanges = {"one": one, "two": two}
            config = DeviceConfig(planning=PlanningSettings(min_fidelity=0.0))
            daemon = VirtualDaemon(work, config, EnergySettings(board="pi4"), exchanges=exchanges, turn=turn)
            async with daemon.watching():
                await sleep_until(0.0)
                tensors = [wire.Tensor.from_array(*each) for each in daemon.model.blank.items()]
                request = wire.InferRequest(tensors, parameters={"budget": budget} if budget else {})
                answer = await daemon._plane.infer("tiny", request)
                return Call(clock(), answer.parameters, one.asked, len(two.answered))

        with defects_raised():
            return virtual_time.run(call(), start_s=-5.0)

    return make


def test_the_other_companion_answers_in_the_time_of_its_exchange(called: Any) -> None:
    it = called(after_s=0.015)
    assert it.said["ran_on"] == "two"
    assert it.said["degraded"]
    assert it.said["why"] == "one failed (the connection was lost); two answered in its place"
    assert (it.asked, it.answered) == (1, 1)
    assert 0.015 + RTT_S < it.latency_s < 0.015 + 2 * THERE_S < ALONE_S


def test_a_companion_that_is_further_away_than_the_device_is_not_asked(called: Any) -> None:
    it = called(after_s=0.015, rtt_s=0.3)
    assert "ran_on" not in it.said
    assert set(it.said["ran"]) == {"D"}
    assert it.answered == 0


@pytest.mark.parametrize(("budget_ms", "asked"), [(400, True), (205, False), (120, True)])
def test_what_is_left_of_the_deadline_decides(called: Any, budget_ms: int, *, asked: bool) -> None:
    """At 205 ms the device must begin before the second answer is expected; at 120 ms it would be late in any case."""
    it = called(after_s=0.02, budget=f"{budget_ms}ms")
    assert it.answered == asked
    assert set(it.said["ran"]) == ({"C"} if asked else {"D"})
    assert it.said["budget_met"]


def test_what_the_tensors_may_be_the_cause_of_is_asked_of_nobody_else(called: Any) -> None:
    it = called(after_s=0.015, reason=FailureReason.NOT_FINITE)
    assert set(it.said["ran"]) == {"D"}
    assert it.answered == 0
