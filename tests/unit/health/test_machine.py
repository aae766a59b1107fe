"""Disks, memory and clocks of machines that tests make up."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.health.conditions import Code
from collabd.health.machine import clock_of, disk_of, memory_of
from tests.full_disk import mounted


def test_a_directory_that_is_not_there_yet_has_the_room_of_its_parent(tmp_path: Path) -> None:
    there, absent = list(disk_of(tmp_path)), list(disk_of(tmp_path / "a" / "b"))
    assert [each.code for each in there] == [each.code for each in absent]


@pytest.mark.parametrize(("megabytes", "code"), [(19, Code.DISK_FULL), (150, Code.DISK_LOW), (300, None)])
def test_a_small_disk_is_low_or_full(tmp_path: Path, megabytes: int, code: Code | None) -> None:
    with mounted(tmp_path / "disk", f"size={megabytes * 10**6}"):
        assert [each.code for each in disk_of(tmp_path / "disk" / "state")] == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("folder", "synchronised", "codes"),
    [(False, False, []), (True, True, []), (True, False, [Code.CLOCK_OFF])],
)
def test_the_clock_is_off_while_the_time_service_has_not_set_it(
    tmp_path: Path, folder: bool, synchronised: bool, codes: list[Code]
) -> None:
    if folder:
        (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    if synchronised:
        (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert [each.code for each in clock_of(tmp_path)] == codes


@pytest.mark.parametrize(("available_kb", "codes"), [(4_000_000, []), (190_000, [Code.MEMORY_LOW])])
def test_memory_is_low_below_a_twentieth(tmp_path: Path, available_kb: int, codes: list[Code]) -> None:
    (tmp_path / "proc").mkdir()
    written = f"MemTotal:        8000000 kB\nMemFree:          1000 kB\nMemAvailable:    {available_kb} kB\n"
    (tmp_path / "proc/meminfo").write_text(written)
    assert [each.code for each in memory_of(tmp_path)] == codes


def test_a_machine_that_shows_nothing_has_memory_and_a_clock() -> None:
    nothing = Path("/nonexistent")
    assert [*memory_of(nothing), *clock_of(nothing)] == []
