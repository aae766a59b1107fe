"""Temperatures."""

from __future__ import annotations

import pytest

from collabd.sensing.machine.thermal import Temperature
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Machine


def _zones(*zones: tuple[str, str]) -> dict[str, str]:
    folder = "sys/class/thermal/thermal_zone"
    return {f"{folder}{n}/type": kind for n, (kind, _) in enumerate(zones)} | {
        f"{folder}{n}/temp": temperature for n, (_, temperature) in enumerate(zones)
    }


@pytest.mark.parametrize(
    ("zones", "degrees"),
    [
        ([("cpu-thermal\n", "48199\n")], 48.199),
        ([("iwlwifi_1", "80000"), ("x86_pkg_temp", "55000"), ("soc_dts0", "57000")], 57.0),
        ([("acpitz", "30000"), ("iwlwifi_1", "35000")], 35.0),
        ([("cpu0-thermal", ""), ("cpu1-thermal", "51000")], 51.0),
        ([("cpu-thermal", "-5000")], -5.0),
    ],
)
def test_the_hottest_of_the_processor(machine: Machine, zones: list[tuple[str, str]], degrees: float) -> None:
    assert Temperature(machine.write(_zones(*zones)).root).read(7.0) == Reading(degrees, time=7.0, spread=0.5)


@pytest.mark.parametrize("temperature", ["", "warm", "-274000", "999000"])
def test_garbage(machine: Machine, temperature: str) -> None:
    sensor = Temperature(machine.write(_zones(("cpu-thermal", temperature))).root)
    assert isinstance(sensor.read(0.0), NotMeasured)


def test_no_zone(machine: Machine) -> None:
    assert Temperature(machine.root).read(0.0) == NotMeasured(f"{machine.root / 'sys/class/thermal'}: no thermal zone")
