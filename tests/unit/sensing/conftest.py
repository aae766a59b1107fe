"""A machine whose /proc and /sys are files of a test, and a firmware that answers what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from collabd.sensing.machine.cpu import CoreTime, CpuCounters
from collabd.sensing.reading import NotMeasured


class Machine:
    """The root of a /proc and /sys; files are named as on a real one, without the first slash."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: Mapping[str, str | bytes]) -> Machine:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self


class Firmware:
    """In place of vcgencmd: what it prints by its argument; anything else is not measured. Remembers what was asked."""

    def __init__(self, answers: Mapping[str, str] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []

    def __call__(self, *arguments: str) -> str | NotMeasured:
        self.asked.append(" ".join(arguments))
        return self.answers.get(self.asked[-1], NotMeasured("vcgencmd: not installed"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


PMIC = """ 3V7_WL_SW_A current(0)=0.10000000A
   3V3_SYS_A current(1)=0.20000000A
  VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.90000000V
     EXT5V_V volt(24)=5.09066000V
      BATT_V volt(25)=0.00000000V
"""
PMIC_W = 0.37 + 0.66 + 1.8


def counters(*cores: tuple[int, int], own: int = 0, running: int = 1) -> CpuCounters:
    """Of cores that were busy and idle for so many ticks, and a process that took so many."""
    times = tuple(CoreTime(busy / 100, (busy + idle) / 100) for busy, idle in cores)
    return CpuCounters(times, own / 100, running)


class Kernel:
    """In place of the kernel's counters: what a test sets."""

    def __init__(self, shown: CpuCounters | NotMeasured) -> None:
        self.shown = shown

    def __call__(self) -> CpuCounters | NotMeasured:
        return self.shown


HIDDEN = NotMeasured("cpu times: hidden")


def pi(*, waited: int = 0) -> dict[str, str]:
    """A Pi 4 on which tasks waited for so many ticks."""
    policy = "sys/devices/system/cpu/cpufreq/policy0/"
    zone = "sys/class/thermal/thermal_zone0/"
    return {
        "proc/pressure/cpu": f"some avg10=1.50 avg60=0.50 avg300=0.10 total={waited * 10_000}\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        policy + "scaling_cur_freq": "600000\n",
        policy + "scaling_max_freq": "1500000\n",
        policy + "cpuinfo_max_freq": "1800000\n",
        zone + "type": "cpu-thermal\n",
        zone + "temp": "48199\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        "sys/class/hwmon/hwmon0/name": "ina219\n",
        "sys/class/hwmon/hwmon0/power1_input": "3120000\n",
        "sys/class/power_supply/bq27/type": "Battery\n",
        "sys/class/power_supply/bq27/capacity": "81\n",
        "sys/class/power_supply/bq27/status": "Discharging\n",
        "sys/class/power_supply/bq27/current_now": "-800000\n",
        "sys/class/power_supply/bq27/voltage_now": "3900000\n",
    }
