"""What the device sees of its board."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.config import EnergySettings
from collabd.device.health.board import board_seen
from collabd.device.senses import Senses
from collabd.sensing.machine.cpu import read_counters
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sensed_machine import SensedMachine


@pytest.mark.parametrize(
    ("word", "celsius", "codes"),
    [
        ("0", 45, []),
        ("0", 81, ["too-hot"]),
        ("50005", 45, ["under-voltage", "throttled"]),
        ("20002", 85, ["too-hot", "throttled"]),
        ("80008", 61, ["throttled"]),
        ("d0000", 45, []),
    ],
)
def test_flags_and_heat(tmp_path: Path, word: str, celsius: int, codes: list[str]) -> None:
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    for folder in (firmware, zone):
        folder.mkdir(parents=True)
    (firmware / "get_throttled").write_text(f"{word}\n")
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text(f"{celsius * 1000}\n")
    silent = NotMeasured("no vcgencmd")
    machine = SensedMachine(root=tmp_path, counters=read_counters, firmware=lambda *_: silent)
    snapshot = Senses(EnergySettings(board="pi4"), machine).snapshot
    assert [each.code for each in board_seen(snapshot)] == codes


def test_a_machine_that_shows_nothing_is_well() -> None:
    silent = NotMeasured("nothing")
    machine = SensedMachine(root=Path("/nonexistent"), counters=lambda: silent, firmware=lambda *_: silent)
    assert list(board_seen(Senses(EnergySettings(board="pi4"), machine).snapshot)) == []
