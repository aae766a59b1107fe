"""The board, its memory, its disk and its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from collab_sdk.reports import DeviceReport
from collabd.ctl.doctor.clock import of_clock
from collabd.ctl.doctor.context import DEVICE, Context, Heard, Settings
from collabd.ctl.doctor.finding import relevant
from collabd.ctl.doctor.hardware import (
    check_disk,
    check_memory,
    check_power,
    of_controller,
    of_memory,
    of_power,
    of_room,
    of_temperature,
)
from collabd.ctl.doctor.machine import Answer, Memory, read_memory
from collabd.ctl.doctor.socket import check_daemon
from tests.unit.ctl.conftest import STATUS
from tests.unit.ctl.doctor.conftest import Make

SOCKET = Path("/x")


def device(**changes: Any) -> DeviceReport:
    return cast("DeviceReport", {**STATUS["device"], **changes})


@pytest.mark.parametrize(
    ("now", "before", "severity", "part"),
    [
        ([], [], "ok", "no under-voltage"),
        (["under-voltage"], ["under-voltage"], "warning", "slows this machine down: under-voltage"),
        (
            [],
            ["throttled", "frequency-capped"],
            "warning",
            "earlier slowed this machine down: throttled, frequency-capped",
        ),
        (None, None, "not-measured", "does not report"),
    ],
)
def test_what_the_firmware_says(now: Any, before: Any, severity: str, part: str) -> None:
    found = of_power(device(throttled=now, throttled_before=before))
    assert found.severity == severity
    assert part in found.title


def test_under_voltage_calls_for_a_supply_and_throttling_for_cooling() -> None:
    assert "power supply" in of_power(device(throttled=["under-voltage"], throttled_before=["under-voltage"])).advice
    assert "Cool" in of_power(device(throttled=["throttled"], throttled_before=["throttled"])).advice


@pytest.mark.parametrize(("celsius", "severity"), [(61.0, "ok"), (82.5, "warning"), (None, "not-measured")])
def test_heat(celsius: float | None, severity: str) -> None:
    assert of_temperature(device(temperature_c=celsius)).severity == severity


def test_without_a_daemon_power_is_not_worth_a_word(machine: Make) -> None:
    context = Context(machine(), SOCKET)
    found = [*check_daemon(context), *check_power(context)]
    assert [finding.severity for finding in found] == ["error", "not-measured"]
    assert [finding.code for finding in relevant(found)] == ["daemon"]


@pytest.mark.parametrize(
    ("files", "severity"),
    [
        ({"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids"}, "ok"),
        ({"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids"}, "note"),
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": "1"}, "ok"),
        ({}, "not-measured"),
    ],
)
def test_the_memory_controller(machine: Make, files: dict[str, str], severity: str) -> None:
    found = of_controller(machine(files))
    assert found.severity == severity
    assert ("cgroup_enable=memory" in found.advice) == (severity == "note")


def test_memory_that_is_left(machine: Make) -> None:
    memory = Memory(total=4_000_000_000, left=3_000_000_000, swap=100_000_000, swap_left=60_000_000)
    _, found = check_memory(Context(machine(memory=memory), SOCKET))
    assert (found.severity, found.title) == ("ok", "3000 of 4000 MB of memory are free, 60 of 100 MB of swap")


def test_memory_that_runs_out() -> None:
    found = of_memory(Memory(total=1_000_000_000, left=90_000_000, swap=0, swap_left=0))
    assert (found.severity, found.title) == ("warning", "90 of 1000 MB of memory are free, no swap")
    assert of_memory(None).severity == "not-measured"


def test_the_memory_of_this_machine() -> None:
    memory = read_memory()
    assert memory is not None
    assert 0 < memory.left <= memory.total
    assert 0 <= memory.swap_left <= memory.swap


@pytest.mark.parametrize(("free", "severity"), [(10**9, "ok"), (10**8, "warning"), (10**6, "error")])
def test_room_on_the_disk(free: int, severity: str) -> None:
    assert of_room(Path("/var/lib/collabd"), free).severity == severity


def test_the_disk_is_that_of_the_state(machine: Make, tmp_path: Path) -> None:
    asked: list[Path] = []

    def free(path: Path) -> int:
        asked.append(path)
        return 0

    there = machine({"/var/x": ""}, free_bytes=free)
    (found,) = check_disk(Context(there, SOCKET, settings=(Settings(DEVICE, tmp_path),)))
    assert asked == [tmp_path / "root/var"]
    assert found.severity == "error"


@pytest.mark.parametrize(
    ("files", "answers", "severity"),
    [
        ({"/run/systemd/timesync/synchronized": ""}, {}, "ok"),
        ({}, {"timedatectl show": Answer(0, "yes\n", "")}, "ok"),
        ({}, {"timedatectl show": Answer(0, "no\n", "")}, "note"),
        ({}, {"timedatectl show": Answer(1, "", "no bus")}, "not-measured"),
        ({}, {}, "not-measured"),
    ],
)
def test_the_clock(machine: Make, files: dict[str, str], answers: dict[str, Answer], severity: str) -> None:
    assert of_clock(machine(files, answers)).severity == severity


def test_the_report_has_what_is_asked_for(machine: Make) -> None:
    found = list(check_power(Context(machine(), SOCKET, heard=Heard(STATUS))))
    assert [finding.code for finding in found] == ["power", "temperature"]
