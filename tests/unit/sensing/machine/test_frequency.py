"""Clocks."""

from __future__ import annotations

import pytest

from collabd.sensing.machine.frequency import CpuFrequency, Frequency
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Machine


def _policy(number: int, current: str, limit: str, most: str) -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpufreq/policy{number}/"
    return {folder + "scaling_cur_freq": current, folder + "scaling_max_freq": limit, folder + "cpuinfo_max_freq": most}


def test_a_cap_shows_in_the_limit(machine: Machine) -> None:
    frequency = CpuFrequency(machine.write(_policy(0, "600000\n", "1000000\n", "1500000\n")).root)
    assert frequency.read(3.0) == Reading(Frequency(600.0, 1000.0, 1500.0), time=3.0, spread=0.0)


def test_groups_of_cores_are_averaged(machine: Machine) -> None:
    machine.write(_policy(0, "1000000", "2000000", "2000000") | _policy(4, "3000000", "3000000", "4000000"))
    reading = CpuFrequency(machine.root).read(0.0)
    assert isinstance(reading, Reading)
    assert reading.value == Frequency(2000.0, 2500.0, 3000.0)


def test_no_driver(machine: Machine) -> None:
    reading = CpuFrequency(machine.root).read(0.0)
    assert isinstance(reading, NotMeasured)
    assert "no cpufreq driver" in reading.reason


@pytest.mark.parametrize("current", ["<unknown>", "0", "-5", "1e12", ""])
def test_garbage(machine: Machine, current: str) -> None:
    reading = CpuFrequency(machine.write(_policy(0, current, "1500000", "1500000")).root).read(0.0)
    assert isinstance(reading, NotMeasured)
    assert "scaling_cur_freq" in reading.reason
