"""Samples the sensors of this machine in the background, while calls run."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from collabd.attention import Attention
from collabd.clock import MONOTONIC, Clock
from collabd.config import EnergySettings
from collabd.sensing.machine.slowdown import clocking, crowding
from collabd.sensing.power.board import BoardPower, board_power, recognise
from collabd.sensing.power.draw import PowerSensor
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sampler import Sampler, Snapshot
from collabd.sensing.sensed_machine import SensedMachine

log = logging.getLogger(__name__)

# A sample takes about 0.15 ms on a PC and 1 ms on a Pi 4, which is 0.2 % of one core at two samples a second. A load
# reading is too old for a plan after a second or two. While nobody calls, nobody needs it.
_EVERY_S = 0.5
_IDLE_S, _QUIET_S = 5.0, 10.0
_UNKNOWN_BOARD = "pi4"


class Senses:
    """Holds the latest snapshot of the machine. `run` renews it every 0.5 s, and every 5 s while nobody calls."""

    def __init__(self, energy: EnergySettings, machine: SensedMachine, *, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self.attention = Attention(busy_s=_EVERY_S, idle_s=_IDLE_S, quiet_s=_QUIET_S, clock=clock)
        self._board = _board(energy, machine.root)
        self._sampler = Sampler(self._board, machine)
        self.snapshot: Snapshot = self._sampler.sample(self._clock())

    def give_up(self, error: Exception) -> None:
        """Replace all readings by `NotMeasured` after sensing failed: old readings must not pass for current ones."""
        unknown, now = NotMeasured(f"sensing failed: {error!r}"), self._clock()
        power = PowerSensor(self._board, unknown).read(now, unknown)
        self.snapshot = Snapshot(
            time=now,
            load=unknown,
            pressure=unknown,
            frequency=unknown,
            temperature=unknown,
            throttling=unknown,
            battery=unknown,
            power=power,
        )

    async def run(self) -> None:
        """Sample until cancelled, in a thread, since the firmware of a Pi may be slow to answer."""
        while True:
            await self.attention.next_look()
            self.snapshot = await asyncio.to_thread(self._sampler.sample, self._clock())


def slowdown(seen: Snapshot, threads: int) -> float:
    """How many times longer a run of `threads` threads should take than on an idle machine at full clock."""
    return crowding(seen.load, seen.pressure, threads) * clocking(seen.frequency, seen.throttling)


def on_battery(seen: Snapshot) -> bool:
    """Whether the machine is known to live on its battery alone."""
    return not isinstance(seen.battery, NotMeasured) and seen.battery.value.status == "discharging"


def _board(energy: EnergySettings, root: Path) -> BoardPower:
    board: str | NotMeasured = recognise(root) if energy.board == "auto" else energy.board
    if isinstance(board, NotMeasured):
        log.info("the power model is that of a %s: %s", _UNKNOWN_BOARD, board.reason)
        board = _UNKNOWN_BOARD
    return board_power(
        board,
        busy_w=energy.busy_w,
        idle_w=energy.idle_w,
        tx_w_per_mbps=_watts(energy.tx_mw_per_mbps),
        tx_base_w=_watts(energy.tx_base_mw),
    )


def _watts(milliwatts: float | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1e3
