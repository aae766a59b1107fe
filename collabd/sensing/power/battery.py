"""The battery: how full it is, whether it is charging, and how much is drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from collabd.sensing.files import read_number, read_text
from collabd.sensing.power.meter import plausible
from collabd.sensing.reading import Measured, NotMeasured, Reading, gather

_SUPPLIES = "sys/class/power_supply"
_NONE = NotMeasured("battery: none")
# Gauges count in whole per cent.
_STEP = 0.01

Status = Literal["charging", "discharging", "not charging", "full", "unknown"]


@dataclass(frozen=True, slots=True)
class Battery:
    """`charge`: 0 to 1. `watts`: into it or out of it, as `status` says; None where it does not measure that."""

    charge: float
    status: Status
    watts: float | None


class BatterySensor:
    """All batteries (and UPS) that power the machine, as one."""

    def __init__(self, root: Path) -> None:
        self._cells = [path for path in sorted((root / _SUPPLIES).glob("*")) if _powers_the_machine(path)]

    def read(self, now: float) -> Measured[Battery]:
        """The battery. If one cell does not answer, nothing is measured, since its share is not known."""
        cells = gather(_cell(path) for path in self._cells)
        if isinstance(cells, NotMeasured):
            return cells
        return Reading(_together(cells), now, spread=_STEP) if cells else _NONE


class Discharge:
    """Watts drawn from the battery while the machine runs on it alone."""

    name = "battery"
    covers = "the whole machine"
    # A gauge averages over seconds to half a minute.
    prompt = False
    every_s = 0.0

    def __init__(self, battery: BatterySensor) -> None:
        self._battery = battery

    @classmethod
    def find(cls, battery: BatterySensor) -> Discharge | NotMeasured:
        """The battery, if it measures what is drawn from it."""
        reading = battery.read(0.0)
        if isinstance(reading, NotMeasured):
            return reading
        return cls(battery) if reading.value.watts is not None else NotMeasured("battery: it does not measure power")

    def watts(self, now: float) -> float | NotMeasured:
        """Watts now. They are not measured while a charger feeds the machine."""
        reading = self._battery.read(now)
        if isinstance(reading, NotMeasured):
            return reading
        if reading.value.status != "discharging" or reading.value.watts is None:
            return NotMeasured(f"battery: it is {reading.value.status}, so it does not show what the machine draws")
        return reading.value.watts


def _powers_the_machine(path: Path) -> bool:
    # A mouse's battery is a power supply too; its scope is Device.
    return read_text(path / "type") in {"Battery", "UPS"} and read_text(path / "scope") != "Device"


def _cell(path: Path) -> Battery | NotMeasured:
    percent = read_number(path / "capacity")
    if isinstance(percent, NotMeasured):
        return percent
    if not 0 <= percent <= 100:
        return NotMeasured(f"{path}: {percent:g} % is impossible")
    said = read_text(path / "status")
    word = "" if isinstance(said, NotMeasured) else said.lower()
    status: Status = next((known for known in get_args(Status) if known == word), "unknown")
    watts = _watts(path)
    return Battery(percent / 100, status, None if isinstance(watts, NotMeasured) else watts)


def _watts(path: Path) -> float | NotMeasured:
    # Whether discharging is negative differs from driver to driver; the status tells the direction.
    microwatts = read_number(path / "power_now")
    if not isinstance(microwatts, NotMeasured):
        return plausible(abs(microwatts) / 1e6, "battery")
    factors = gather(read_number(path / name) for name in ("current_now", "voltage_now"))
    return factors if isinstance(factors, NotMeasured) else plausible(abs(math.prod(factors)) / 1e12, "battery")


def _together(cells: list[Battery]) -> Battery:
    charge = sum(cell.charge for cell in cells) / len(cells)
    discharging = [cell for cell in cells if cell.status == "discharging"]
    active = discharging or cells
    watts = [cell.watts for cell in active if cell.watts is not None]
    return Battery(charge, active[0].status, sum(watts) if len(watts) == len(active) else None)
