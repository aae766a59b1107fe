"""What planning reckons with once nothing is sensed any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collabd.config import EnergySettings
from collabd.device.senses import Senses, on_battery, slowdown
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sensed_machine import SHOWS_NOTHING


def test_what_cannot_be_sensed_any_more_is_unknown_and_not_as_it_was() -> None:
    senses = Senses(EnergySettings(board="pi4", busy_w=6.0, idle_w=2.0), SHOWS_NOTHING)
    senses.give_up(LookupError("no such file"))
    seen = senses.snapshot
    for measured in (seen.load, seen.pressure, seen.frequency, seen.temperature, seen.throttling, seen.battery):
        assert isinstance(measured, NotMeasured)
        assert "no such file" in measured.reason
    assert not seen.power.measured
    assert (seen.power.board.busy_w, seen.power.board.idle_w) == (6.0, 2.0)
    assert slowdown(senses.snapshot, 4) == 1.0


@pytest.mark.parametrize(
    ("status", "alone"), [("Discharging", True), ("Charging", False), ("Full", False), ("Not charging", False)]
)
def test_a_machine_lives_on_its_battery_while_nothing_charges_it(tmp_path: Path, status: str, alone: bool) -> None:
    battery = tmp_path / "sys/class/power_supply/BAT0"
    battery.mkdir(parents=True)
    for name, value in {"type": "Battery", "capacity": "80", "status": status}.items():
        (battery / name).write_text(f"{value}\n")
    senses = Senses(EnergySettings(board="pi4"), replace(SHOWS_NOTHING, root=tmp_path))
    assert on_battery(senses.snapshot) is alone


def test_without_a_battery_none_is_lived_on() -> None:
    assert not on_battery(Senses(EnergySettings(board="pi4"), SHOWS_NOTHING).snapshot)
