"""Batteries, and the power drawn from them."""

from __future__ import annotations

import pytest

from collabd.sensing.power.battery import Battery, BatterySensor, Discharge
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Machine


def _cell(name: str = "BAT0", **files: str) -> dict[str, str]:
    """capacity 80 and discharging, unless said otherwise; an empty text leaves a file out."""
    wanted = {"type": "Battery", "capacity": "80", "status": "Discharging"} | files
    return {f"sys/class/power_supply/{name}/{file}": f"{text}\n" for file, text in wanted.items() if text}


def _read(machine: Machine) -> Battery:
    reading = BatterySensor(machine.root).read(1.0)
    assert isinstance(reading, Reading)
    assert reading.spread == 0.01
    return reading.value


@pytest.mark.parametrize(
    ("files", "battery"),
    [
        ({"power_now": "12500000"}, Battery(0.8, "discharging", 12.5)),
        ({"power_now": "-12500000"}, Battery(0.8, "discharging", 12.5)),
        ({"current_now": "-800000", "voltage_now": "3900000"}, Battery(0.8, "discharging", 3.12)),
        ({"status": "Charging", "current_now": "800000", "voltage_now": "3900000"}, Battery(0.8, "charging", 3.12)),
        ({"status": "Not charging", "power_now": "0"}, Battery(0.8, "not charging", 0.0)),
        ({"status": "Full", "capacity": "100"}, Battery(1.0, "full", None)),
        ({"status": "", "current_now": "800000"}, Battery(0.8, "unknown", None)),
        ({"status": "Sleeping", "power_now": "lots"}, Battery(0.8, "unknown", None)),
        ({"type": "UPS", "power_now": "99e9"}, Battery(0.8, "discharging", None)),
    ],
)
def test_one_cell(machine: Machine, files: dict[str, str], battery: Battery) -> None:
    value = _read(machine.write(_cell(**files)))
    assert (value.charge, value.status) == (battery.charge, battery.status)
    assert value.watts == (None if battery.watts is None else pytest.approx(battery.watts))


def test_of_two_cells_the_one_that_discharges_tells_the_power(machine: Machine) -> None:
    machine.write(_cell("BAT0", capacity="40", status="Not charging", power_now="0"))
    machine.write(_cell("BAT1", capacity="80", power_now="7000000"))
    value = _read(machine)
    assert (value.status, value.watts) == ("discharging", 7.0)
    assert value.charge == pytest.approx(0.6)


def test_part_of_the_power_is_not_the_power(machine: Machine) -> None:
    machine.write(_cell("BAT0", power_now="5000000") | _cell("BAT1"))
    assert _read(machine).watts is None


@pytest.mark.parametrize(
    "files",
    [
        _cell(type="Mains", capacity=""),
        _cell("hid-mouse", scope="Device"),
        _cell(capacity=""),
        _cell(capacity="150"),
        _cell("BAT0") | _cell("BAT1", capacity="?"),
        {},
    ],
)
def test_not_measured(machine: Machine, files: dict[str, str]) -> None:
    sensor = BatterySensor(machine.write(files).root)
    assert isinstance(sensor.read(0.0), NotMeasured)
    assert isinstance(Discharge.find(sensor), NotMeasured)


def test_a_battery_measures_the_machine_only_while_it_powers_it(machine: Machine) -> None:
    meter = Discharge.find(BatterySensor(machine.write(_cell(power_now="6000000")).root))
    assert isinstance(meter, Discharge)
    assert meter.watts(1.0) == 6.0
    machine.write(_cell(status="Charging", power_now="9000000"))
    watts = meter.watts(2.0)
    assert isinstance(watts, NotMeasured)
    assert "charging" in watts.reason


def test_a_battery_without_a_gauge_is_no_meter(machine: Machine) -> None:
    meter = Discharge.find(BatterySensor(machine.write(_cell()).root))
    assert meter == NotMeasured("battery: it does not measure power")
