"""Runs a fleet under one virtual clock: every device is a whole daemon, with companions that serve them all."""

from __future__ import annotations

import asyncio
import gc

import numpy as np

from collabd.config import EnergySettings
from collabd.simulation import virtual_time
from collabd.simulation.daemon import defects_raised
from collabd.simulation.device_daemon import VirtualDaemon
from collabd.simulation.fleet.calls import FleetCalls
from collabd.simulation.fleet.companion import FleetCompanion
from collabd.simulation.fleet.exchange import FleetExchange
from collabd.simulation.fleet.link import DeviceLink
from collabd.simulation.fleet.scenario import FleetDevice, FleetScenario
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until

# The daemons start this many seconds before the first call, one after the other.
_MEETS_S = 5.0
_SELDOM = (200_000, 20, 100)
_ENERGY = EnergySettings(board="pi4")


def run(scenario: FleetScenario) -> tuple[FleetCalls, list[FleetCompanion]]:
    """Run the fleet for its duration."""
    # The many objects of the devices live as long as the run. To look through them again and again finds nothing.
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        with defects_raised():
            return virtual_time.run(_run(scenario), start_s=-_MEETS_S)
    finally:
        gc.set_threshold(*before)


def companions_of(scenario: FleetScenario) -> list[FleetCompanion]:
    """The companions of a fleet."""
    clock = asyncio.get_running_loop().time
    return [
        FleetCompanion(f"companion{index}", scenario.batching, slowness=scenario.slowness, clock=clock)
        for index in range(scenario.companions)
    ]


def arrivals(device: FleetDevice, scenario: FleetScenario) -> list[float]:
    """When the device's camera has something to ask, in seconds."""
    random = np.random.default_rng(device.seed)
    count = int(scenario.duration_s / scenario.every_s) + 1
    if device.periodic:
        times = device.first_s + np.arange(count) * scenario.every_s
    else:
        times = device.first_s + random.exponential(scenario.every_s, 2 * count).cumsum()
    return [float(each) for each in times if each < scenario.duration_s]


async def _run(scenario: FleetScenario) -> tuple[FleetCalls, list[FleetCompanion]]:
    fleet = _Fleet(scenario)
    await fleet.run()
    return fleet.calls, fleet.companions


class _Fleet:
    def __init__(self, scenario: FleetScenario) -> None:
        self._scenario = scenario
        self._clock = asyncio.get_running_loop().time
        self.companions = companions_of(scenario)
        self.calls = FleetCalls()

    async def run(self) -> None:
        """Let all devices live, and the companions serve them, until the end."""
        async with asyncio.TaskGroup() as tasks:
            for number, device in enumerate(self._scenario.made()):
                tasks.create_task(self._live(number, device))
            await sleep_until(0.0)
            tasks.create_task(self.calls.sample(self.companions, self._scenario.duration_s))

    async def _live(self, number: int, device: FleetDevice) -> None:
        scenario, workload, clock = self._scenario, device.workload, self._clock
        await sleep_until(-_MEETS_S * (1 - number / scenario.devices / 2))
        turn = Turn(0, workload.draw(0))
        link = DeviceLink(device.trace, rtt_s=scenario.rtt_s, offset_s=device.offset_s, clock=clock)
        exchanges = {
            each.name: FleetExchange(f"device{number}", each, workload=workload, link=link, turn=turn)
            for each in (self.companions[index] for index in device.companions)
        }
        daemon = VirtualDaemon(workload, scenario.config, _ENERGY, exchanges=exchanges, turn=turn, seed=device.seed)
        inputs = {name: workload.blanks[name] for name in workload.package.manifest.input_names}
        async with daemon.watching():
            for request, due_s in enumerate(arrivals(device, scenario)):
                await sleep_until(max(due_s, daemon.thread.idle_at_s))
                turn.request = (device.seed + request) % len(workload)
                turn.luck = workload.draw(turn.request)
                began_s = clock()
                result = await daemon.infer(inputs)
                there = result.measured.queue_ms is not None
                asked = result.plan.cloud is not None
                self.calls.add(number, began_s, clock() - began_s, there=there, asked=asked)
                daemon.thread.worked.clear()
