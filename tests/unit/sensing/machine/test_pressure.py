"""Pressure from the kernel's counter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.machine.pressure import CpuPressure, parse_pressure
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Machine


def _some(total_us: int, average: str = "12.50") -> dict[str, str]:
    return {"proc/pressure/cpu": f"some avg10={average} avg60=1.00 avg300=0.00 total={total_us}\nfull avg10=0.00\n"}


def test_first_the_mean_then_the_share_since(machine: Machine) -> None:
    pressure = CpuPressure(machine.write(_some(1_000_000)).root)
    assert pressure.read(10.0) == Reading(0.125, time=10.0, spread=0.0625)
    machine.write(_some(1_500_000))
    assert pressure.read(12.0) == Reading(0.25, time=12.0, spread=0.0005)


def test_a_sample_right_after_another_is_the_other(machine: Machine) -> None:
    pressure = CpuPressure(machine.write(_some(0)).root)
    first = pressure.read(10.0)
    machine.write(_some(50_000))
    assert pressure.read(10.05) is first


def test_never_more_than_all_the_time_nor_less_than_none(machine: Machine) -> None:
    pressure = CpuPressure(machine.write(_some(5_000_000)).root)
    pressure.read(0.0)
    for total_us, share in ((9_000_000, 1.0), (0, 0.0)):
        machine.write(_some(total_us))
        reading = pressure.read(1.0 if share else 2.0)
        assert isinstance(reading, Reading)
        assert reading.value == share


def test_turned_off_in_the_kernel(machine: Machine) -> None:
    reading = CpuPressure(machine.root).read(0.0)
    assert isinstance(reading, NotMeasured)
    assert "psi=1" in reading.reason


@pytest.mark.parametrize(
    "text", ["", "full avg10=1.00 total=5", "some avg10=1.2.3 avg60=0 total=1", "some avg10=101 a total=1"]
)
def test_garbage(machine: Machine, text: str) -> None:
    assert isinstance(CpuPressure(machine.write({"proc/pressure/cpu": text}).root).read(0.0), NotMeasured)


@given(st.text() | st.from_regex(r"some avg10=[0-9.]{1,400} x total=[0-9]{1,400}"))
def test_any_text_parses(text: str) -> None:
    parsed = parse_pressure(text)
    assert parsed is None or 0 <= parsed[0] <= 1
