"""The clock of the cores, and the highest clock that they may have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collabd.sensing.files import read_number
from collabd.sensing.reading import Measured, NotMeasured, Reading, gather

_POLICIES = "sys/devices/system/cpu/cpufreq"
_FILES = ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq")


@dataclass(frozen=True, slots=True)
class Frequency:
    """MHz now, the limit now, and the maximum of the hardware; each the mean over groups of cores.

    An idle core has a low clock, and yet runs at `limit_mhz` as soon as there is work. So `limit_mhz / max_mhz` says
    more about the speed of the next run than `now_mhz`. The kernel does not see where a Pi's firmware lowers the clock:
    see `throttling`.
    """

    now_mhz: float
    limit_mhz: float
    max_mhz: float


class CpuFrequency:
    """Reads cpufreq, which has one policy for each group of cores that share a clock."""

    def __init__(self, root: Path) -> None:
        self._policies = sorted((root / _POLICIES).glob("policy*"))
        self._none = NotMeasured(f"{root / _POLICIES}: no policy (no cpufreq driver)")

    def read(self, now: float) -> Measured[Frequency]:
        """The frequencies."""
        policies = gather(gather(_mhz(path / name) for name in _FILES) for path in self._policies)
        if isinstance(policies, NotMeasured):
            return policies
        if not policies:
            return self._none
        current, limit, most = (sum(column) / len(policies) for column in zip(*policies, strict=True))
        return Reading(Frequency(current, limit, most), now, spread=0.0)


def _mhz(path: Path) -> float | NotMeasured:
    khz = read_number(path)
    if isinstance(khz, NotMeasured):
        return khz
    return khz / 1e3 if 0 < khz < 1e8 else NotMeasured(f"{path}: {khz:g} kHz is impossible")
