"""The energy counters of an x86 processor (RAPL through the powercap class)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from collabd.sensing.files import read_number, read_text
from collabd.sensing.power.meter import plausible
from collabd.sensing.reading import NotMeasured, gather

_ZONES = "sys/class/powercap"
# The smallest counters, of 65 kJ, overflow in ten minutes at 100 W, so within this time at most once.
_LONGEST_S = 60.0
_SHORTEST_S = 0.01


class _Zone(NamedTuple):
    energy: Path
    range_uj: float


class Rapl:
    """Mean watts between two readings of the energy counters: of the platform, else of packages and memory."""

    name = "rapl"
    prompt = True
    every_s = 0.0

    def __init__(self, zones: list[_Zone], covers: str) -> None:
        self.covers = covers
        self._zones = zones
        self._before: tuple[float, list[float]] | None = None
        self._last: float | NotMeasured = NotMeasured("rapl: power needs two samples, and this is the first")

    @classmethod
    def find(cls, root: Path) -> Rapl | NotMeasured:
        """The counters of this machine, if it has any and we may read them (since Linux 5.10 only root may)."""
        # intel-rapl-mmio:0, which this leaves out, counts the package of intel-rapl:0 a second time.
        names = {path: _name(path) for path in sorted((root / _ZONES).glob("intel-rapl:*"))}
        platform = [path for path, name in names.items() if name.startswith("psys")]
        # The memory is a part of the package by name alone: the package's counter does not include it.
        chosen = platform or [path for path, name in names.items() if name.startswith(("package", "dram"))]
        if not chosen:
            return NotMeasured("rapl: none")
        zones = gather(_open(path) for path in chosen)
        if isinstance(zones, NotMeasured):
            return NotMeasured(f"rapl: {zones.reason}")
        return cls(zones, "the whole platform" if platform else "processor and memory")

    def watts(self, now: float) -> float | NotMeasured:
        """Mean watts since the previous reading; within 10 ms of it, the same watts again."""
        energy = gather(read_number(zone.energy) for zone in self._zones)
        if isinstance(energy, NotMeasured):
            return NotMeasured(f"rapl: {energy.reason}")
        if self._before is None:
            self._before = now, energy
        elif now - self._before[0] >= _SHORTEST_S:
            self._last = self._mean(now, energy, before=self._before)
            self._before = now, energy
        return self._last

    def _mean(self, now: float, energy: list[float], *, before: tuple[float, list[float]]) -> float | NotMeasured:
        time, energy_before = before
        if now - time > _LONGEST_S:
            return NotMeasured(
                f"rapl: {now - time:.0f} s have passed since the last reading, so the counter may have overflowed twice"
            )
        used_uj = sum(
            end - start + (zone.range_uj if end < start else 0.0)
            for zone, start, end in zip(self._zones, energy_before, energy, strict=True)
        )
        return plausible(used_uj / 1e6 / (now - time), self.name)


def _name(zone: Path) -> str:
    name = read_text(zone / "name")
    return "" if isinstance(name, NotMeasured) else name


def _open(path: Path) -> _Zone | NotMeasured:
    numbers = gather(read_number(path / name) for name in ("energy_uj", "max_energy_range_uj"))
    return numbers if isinstance(numbers, NotMeasured) else _Zone(path / "energy_uj", range_uj=numbers[1])
