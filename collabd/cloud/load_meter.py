"""How busy this machine is, sampled in the background so that a reply never waits for it."""

from __future__ import annotations

import asyncio
import time

from collabd.attention import Attention
from collabd.sensing.machine.cpu import CpuLoad
from collabd.sensing.machine.frequency import CpuFrequency
from collabd.sensing.machine.pressure import CpuPressure
from collabd.sensing.machine.slowdown import clocking, crowding
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sensed_machine import SensedMachine

_INTERVAL_S = 0.5
# While no request comes.
_IDLE_S, _QUIET_S = 5.0, 10.0


class LoadMeter:
    """`value`: the share of all processors' time, 0..1, that was used in the last half second (in the last 5 s while no
    request comes); None: not measured.

    `slowdown`: how many times longer a run on `threads` threads takes now than it would alone, by estimate.
    """

    def __init__(self, threads: int, machine: SensedMachine) -> None:
        self.value: float | None = None
        self.slowdown = 1.0
        self.attention = Attention(busy_s=_INTERVAL_S, idle_s=_IDLE_S, quiet_s=_QUIET_S, clock=time.monotonic)
        self._threads = threads
        self._load = CpuLoad(machine.counters)
        self._pressure = CpuPressure(machine.root)
        self._frequency = CpuFrequency(machine.root)

    async def warm_up(self) -> None:
        """Take the first sample, over a fifth of a second."""
        self._sample()
        await asyncio.sleep(0.2)
        self._sample()

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self.attention.next_look()
            self._sample()

    def _sample(self) -> None:
        now = time.monotonic()
        load, pressure = self._load.read(now), self._pressure.read(now)
        self.value = None if isinstance(load, NotMeasured) else round(load.value.mean, 4)
        clock = clocking(self._frequency.read(now), NotMeasured("throttling: a Pi's"))
        self.slowdown = round(crowding(load, pressure, self._threads) * clock, 4)
