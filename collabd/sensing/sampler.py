"""All that is sensed of this machine at one time."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.sensing.machine.cpu import CpuLoad, Load
from collabd.sensing.machine.frequency import CpuFrequency, Frequency
from collabd.sensing.machine.pressure import CpuPressure
from collabd.sensing.machine.thermal import Temperature
from collabd.sensing.machine.throttling import Throttling, ThrottlingSensor
from collabd.sensing.power.battery import Battery, BatterySensor
from collabd.sensing.power.board import BoardPower
from collabd.sensing.power.draw import Power, PowerSensor, find_meter
from collabd.sensing.reading import Measured
from collabd.sensing.sensed_machine import SensedMachine


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The machine at `time`, on the clock that was passed in.

    `pressure`: share of the time that a task waited for a core. `temperature`: degrees Celsius.
    """

    time: float
    load: Measured[Load]
    pressure: Measured[float]
    frequency: Measured[Frequency]
    temperature: Measured[float]
    throttling: Measured[Throttling]
    battery: Measured[Battery]
    power: Power


class Sampler:
    """Reads every source of this machine. Which sources and which power meter exist, it finds out once, when made.

    A sample reads some 20 small files, and on a Pi runs `vcgencmd` once or twice every few seconds. So a caller with an
    event loop takes samples in a thread, one at a time, since load and energy are differences between two samples.
    """

    def __init__(self, board: BoardPower, machine: SensedMachine) -> None:
        """`board` is the model of what the machine draws."""
        root = machine.root
        self._load = CpuLoad(machine.counters)
        self._pressure = CpuPressure(root)
        self._frequency = CpuFrequency(root)
        self._temperature = Temperature(root)
        self._throttling = ThrottlingSensor(root, machine.firmware)
        self._battery = BatterySensor(root)
        self._power = PowerSensor(board, find_meter(root, machine.firmware, self._battery))

    def sample(self, now: float) -> Snapshot:
        """Read everything. `now` is in seconds, on a clock that does not jump (`time.monotonic`)."""
        load = self._load.read(now)
        return Snapshot(
            time=now,
            load=load,
            pressure=self._pressure.read(now),
            frequency=self._frequency.read(now),
            temperature=self._temperature.read(now),
            throttling=self._throttling.read(now),
            battery=self._battery.read(now),
            power=self._power.read(now, load),
        )
