"""The best static share: who asks the companions is fixed beforehand, and the share is searched for.

The devices, links, cameras and companions are the same, but no device decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collab_sdk.errors import Overloaded
from collabd.planning import Candidate
from collabd.simulation import virtual_time
from collabd.simulation.fleet.calls import FleetCalls
from collabd.simulation.fleet.companion import FleetCompanion
from collabd.simulation.fleet.link import DeviceLink
from collabd.simulation.fleet.run import arrivals, companions_of
from collabd.simulation.fleet.scenario import FleetDevice, FleetScenario
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.world import DEFAULT_RTT_S

# The first search is among this many shares, up to twice what fills the companions; the second around the best of them.
_COARSE, _FINE = 5, 3
# Each share is tried for so many seconds, of which so many are for the queues to settle. A large fleet has enough calls
# in half of the time.
_TRIED_S, _SETTLES_S = 12.0, 3.0
_LARGE, _LARGE_TRIED_S = 5000, 6.0
# At so many moments of a trace it is looked up what so many bytes take there.
_MOMENTS, _USUAL_BYTES = 50, 20e3


@dataclass(frozen=True)
class StaticShare:
    """`share` of the calls ask: those of the devices that gain most by it (`ranked`), or of all devices by chance."""

    share: float
    mean_s: float
    ranked: bool


def best_static(scenario: FleetScenario) -> list[StaticShare]:
    """The best share of both kinds, the better one first, and no share at all behind them."""
    tried_s = _TRIED_S if scenario.devices < _LARGE else _LARGE_TRIED_S
    tried = replace(scenario, duration_s=min(scenario.duration_s, tried_s))
    fleet = _StaticFleet(tried)
    alone = StaticShare(0.0, fleet.mean_s(0.0, ranked=True), ranked=True)
    found = [_searched(fleet, scenario, ranked=ranked) for ranked in (True, False)]
    return [*sorted(found, key=lambda each: each.mean_s), alone]


def _searched(fleet: _StaticFleet, scenario: FleetScenario, *, ranked: bool) -> StaticShare:
    full = min(scenario.saturated_by / scenario.devices, 1.0)
    most = min(2 * full, 1.0)
    step = most / _COARSE
    coarse = {share: fleet.mean_s(share, ranked=ranked) for share in np.linspace(step, most, _COARSE)}
    best = min(coarse, key=lambda share: coarse[share])
    around = np.linspace(max(best - step, 0.0), min(best + step, 1.0), _FINE + 2)[1:-1]
    found = coarse | {share: fleet.mean_s(share, ranked=ranked) for share in around}
    share = min(found, key=lambda share: found[share])
    return StaticShare(float(share), found[share], ranked=ranked)


class _StaticFleet:
    def __init__(self, scenario: FleetScenario) -> None:
        self._scenario = scenario
        self._devices = scenario.made()
        self._plans = [fixed_plans(device, scenario) for device in self._devices]
        gains = np.array([plans.gain_s for plans in self._plans])
        # The first are those that gain most.
        self._rank = np.empty(len(gains), int)
        self._rank[np.argsort(-gains)] = np.arange(len(gains))

    def mean_s(self, share: float, *, ranked: bool) -> float:
        """The mean latency of the calls after the queues have settled."""
        random = np.random.default_rng(self._scenario.seed)

        def asks(number: int) -> bool:
            if ranked:
                return bool(self._rank[number] < share * len(self._rank))
            return bool(random.random() < share)

        calls = virtual_time.run(self._run(asks))
        kept = np.array(calls.began_s) >= _SETTLES_S
        return float(np.array(calls.latency_s)[kept].mean())

    async def _run(self, asks: Callable[[int], bool]) -> FleetCalls:
        companions, calls = companions_of(self._scenario), FleetCalls()
        async with asyncio.TaskGroup() as tasks:
            for number in range(len(self._devices)):
                tasks.create_task(self._live(number, companions, asks=asks, calls=calls))
        return calls

    async def _live(
        self, number: int, companions: Sequence[FleetCompanion], *, asks: Callable[[int], bool], calls: FleetCalls
    ) -> None:
        scenario, device, plans = self._scenario, self._devices[number], self._plans[number]
        clock, workload = asyncio.get_running_loop().time, device.workload
        link = DeviceLink(device.trace, rtt_s=scenario.rtt_s, offset_s=device.offset_s, clock=clock)
        companion = companions[device.companions[0]]
        for request, due_s in enumerate(arrivals(device, scenario)):
            await sleep_until(due_s)
            began_s, luck = clock(), workload.draw((device.seed + request) % len(workload))
            there = asks(number)
            plan = plans.there if there else plans.here
            await asyncio.sleep((workload.prep_s + plan.head_s + plan.encode_s) * luck.device)
            if there:
                await _ask(companion, link, plan, up_bytes=workload.up_bytes(plan, luck), peer=str(number))
            calls.add(number, began_s, clock() - began_s, there=there, asked=there)


async def _ask(companion: FleetCompanion, link: DeviceLink, plan: Candidate, *, up_bytes: float, peer: str) -> None:
    """Ask until there is an answer. A companion whose queue is full is asked again at once."""
    clock, refused = asyncio.get_running_loop().time, True
    while refused:
        sending = link.up(up_bytes)
        await sleep_until(sending.arrives_s)
        try:
            await companion.answered(
                peer, f"{plan.cut} {plan.tail}", plan.tail, decode_s=plan.decode_s, run_s=plan.tail_s
            )
            refused = False
        except Overloaded:
            pass
        await sleep_until(max(link.down(plan.down_bytes, sending.rtt_s), clock()))


@dataclass(frozen=True)
class FixedPlans:
    """The device's best plan without a companion, and with one that is idle, and by how much the second is faster."""

    here: Candidate
    there: Candidate
    gain_s: float


def fixed_plans(device: FleetDevice, scenario: FleetScenario) -> FixedPlans:
    """The best plans of a device on its link, in the mean over its trace."""
    work, least = device.workload, scenario.config.planning.min_fidelity
    rtt_s, s_per_byte = _usual(device, scenario)

    def takes_s(plan: Candidate) -> float:
        there_s = 0.0
        if plan.cloud is not None:
            there_s = rtt_s + (plan.up_bytes + plan.down_bytes) * s_per_byte
            there_s += (plan.decode_s + plan.tail_s) * scenario.slowness
        return (plan.head_s + plan.encode_s) * work.slowdown + there_s

    rows = [plan for plan in work.plans.rows if plan.fidelity >= least]
    here = min((plan for plan in rows if plan.cloud is None), key=takes_s)
    there = min((plan for plan in rows if plan.cloud is not None), key=takes_s)
    return FixedPlans(here, there, takes_s(here) - takes_s(there))


def _usual(device: FleetDevice, scenario: FleetScenario) -> tuple[float, float]:
    """The mean round trip, and what a byte takes in the mean over the trace, in seconds."""
    trace = device.trace
    moments = np.linspace(0, trace.duration_s, _MOMENTS, endpoint=False)
    takes_s = [trace.finish_time(at, _USUAL_BYTES) - at for at in moments]
    stated = [trace.latency_at(at) for at in moments]
    rtt_s = float(np.mean([DEFAULT_RTT_S if each is None else each for each in stated]))
    return rtt_s if scenario.rtt_s is None else scenario.rtt_s, float(np.mean(takes_s)) / _USUAL_BYTES
