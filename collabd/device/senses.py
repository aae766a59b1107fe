"""What is sensed of this machine, sampled beside the calls."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from collabd.clock import MONOTONIC, Clock
from collabd.config import EnergySettings
from collabd.sensing.machine.slowdown import clocking, crowding
from collabd.sensing.power.board import BoardPower, board_power, recognise
from collabd.sensing.power.draw import PowerSensor
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sampler import Sampler, Snapshot
from collabd.sensing.sensed_machine import SensedMachine

log = logging.getLogger(__name__)

# A sample takes some 0.15 ms of a PC and 1 ms of a Pi 4: 0.2 % of one of its cores. What a load is worth to a plan is
# gone after a second or two.
_EVERY_S = 0.5
_UNKNOWN_BOARD = "pi4"


class Senses:
    """The latest snapshot of a machine; `run` keeps it fresh."""

    def __init__(self, energy: EnergySettings, machine: SensedMachine, *, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._board = _board(energy, machine.root)
        self._sampler = Sampler(self._board, machine)
        self.snapshot: Snapshot = self._sampler.sample(self._clock())

    def slowdown(self, threads: int) -> float:
        """How many times longer than alone and at full clock a run of `threads` should take now."""
        seen = self.snapshot
        return crowding(seen.load, seen.pressure, threads) * clocking(seen.frequency, seen.throttling)

    def give_up(self, error: Exception) -> None:
        """From now on nothing is known of this machine, rather than what was true at some time."""
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
        """Until cancelled. In a thread, since the firmware of a Pi may take its time to answer."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self.snapshot = await asyncio.to_thread(self._sampler.sample, self._clock())


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
