"""Everything at once, of a Pi, of a machine that shows nothing, and of one whose files are nonsense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabd.sensing.machine.cpu import CpuCounters
from collabd.sensing.machine.frequency import Frequency
from collabd.sensing.power.battery import Battery
from collabd.sensing.power.board import board_power
from collabd.sensing.reading import NotMeasured, Reading
from collabd.sensing.sampler import Sampler, Snapshot
from collabd.sensing.sensed_machine import THIS_MACHINE, SensedMachine
from tests.unit.sensing.conftest import HIDDEN, PMIC, Firmware, Kernel, Machine, counters, pi

BOARD = board_power("pi4")
SENSORS = ("load", "pressure", "frequency", "temperature", "throttling", "battery")


def test_a_pi(machine: Machine) -> None:
    kernel = Kernel(counters(*[(0, 0)] * 4))
    sampler = Sampler(BOARD, SensedMachine(root=machine.write(pi()).root, counters=kernel, firmware=Firmware()))
    first = sampler.sample(10.0)
    assert isinstance(first.load, NotMeasured)
    machine.write(pi(waited=30))
    kernel.shown = counters(*[(30, 70)] * 4, own=30)
    snapshot = sampler.sample(11.0)
    assert snapshot.time == 11.0
    assert isinstance(snapshot.load, Reading)
    assert snapshot.load.value.cores == (0.3, 0.3, 0.3, 0.3)
    assert snapshot.load.value.own == pytest.approx(0.075)
    assert isinstance(snapshot.pressure, Reading)
    assert snapshot.pressure.value == pytest.approx(0.3)
    assert isinstance(snapshot.frequency, Reading)
    assert snapshot.frequency.value == Frequency(600.0, 1500.0, 1800.0)
    assert isinstance(snapshot.temperature, Reading)
    assert snapshot.temperature.value == 48.199
    assert isinstance(snapshot.throttling, Reading)
    assert snapshot.throttling.value.now.under_voltage is True
    assert isinstance(snapshot.battery, Reading)
    assert snapshot.battery.value == Battery(0.81, "discharging", 3.12)
    assert (snapshot.power.source, snapshot.power.watts.value) == ("ina219", 3.12)


def test_a_machine_that_shows_nothing(machine: Machine) -> None:
    snapshot = Sampler(BOARD, SensedMachine(root=machine.root, counters=Kernel(HIDDEN), firmware=Firmware())).sample(
        1.0
    )
    for name in SENSORS:
        measured = getattr(snapshot, name)
        assert isinstance(measured, NotMeasured)
        assert measured.reason
    assert not snapshot.power.measured
    assert snapshot.power.watts.value == (BOARD.busy_w + BOARD.idle_w) / 2


def test_a_snapshot_is_json(machine: Machine) -> None:
    root = machine.write(pi()).root
    snapshot = Sampler(BOARD, SensedMachine(root=root, counters=Kernel(counters((0, 0))), firmware=Firmware())).sample(
        10.0
    )
    decoded = msgspec.json.decode(msgspec.json.encode(snapshot))
    assert decoded["temperature"] == {"value": 48.199, "time": 10.0, "spread": 0.5}
    assert "two samples" in decoded["load"]["reason"]


def test_this_machine() -> None:
    sampler = Sampler(BOARD, THIS_MACHINE)
    assert isinstance(sampler.sample(1.0), Snapshot)
    _check(sampler.sample(2.0))


GOOD = pi() | {f"sys/class/powercap/intel-rapl:0/{name}": "1" for name in ("name", "energy_uj", "max_energy_range_uj")}
NUMBERS = st.integers(-(10**30), 10**30).map(str) | st.floats().map(str)
CONTENT = st.binary(max_size=60) | (
    NUMBERS | st.sampled_from(["package-0", "ina219", "Battery", "Discharging", "rpi_volt", PMIC])
).map(str.encode)


SPOILT = st.dictionaries(st.sampled_from(sorted(GOOD)), CONTENT, max_size=8)
TICKS = st.integers(0, 10**9)
SHOWN = st.just(HIDDEN) | st.builds(
    lambda cores, own, running: counters(*cores, own=own, running=running),
    st.lists(st.tuples(TICKS, TICKS), min_size=1, max_size=4),
    TICKS,
    TICKS,
)
ANSWERS = st.fixed_dictionaries({name: st.text() | st.just(PMIC) for name in ("get_throttled", "pmic_read_adc")})


@settings(max_examples=40)
@given(
    spoilt=st.lists(SPOILT, min_size=4, max_size=4), answers=ANSWERS, kernels=st.lists(SHOWN, min_size=4, max_size=4)
)
def test_nonsense_never_raises(
    tmp_path_factory: pytest.TempPathFactory,
    spoilt: list[dict[str, bytes]],
    answers: dict[str, str],
    kernels: list[CpuCounters | NotMeasured],
) -> None:
    machine = Machine(tmp_path_factory.getbasetemp() / "nonsense").write(GOOD).write(spoilt[0])
    kernel = Kernel(HIDDEN)
    sampler = Sampler(BOARD, SensedMachine(root=machine.root, counters=kernel, firmware=Firmware(answers)))
    for now, files, shown in zip((0.0, 1.0, 1.0, 9.0), spoilt, kernels, strict=True):
        machine.write(files)
        kernel.shown = shown
        _check(sampler.sample(now))


@settings(max_examples=30)
@given(content=st.text(alphabet="xyz#! \n\0", max_size=40))
def test_words_without_a_figure_measure_nothing(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    machine = Machine(tmp_path_factory.getbasetemp() / "words").write(dict.fromkeys(GOOD, content))
    firmware = Firmware(dict.fromkeys(("get_throttled", "pmic_read_adc"), content))
    sampler = Sampler(BOARD, SensedMachine(root=machine.root, counters=Kernel(HIDDEN), firmware=firmware))
    for now in (0.0, 1.0):
        snapshot = sampler.sample(now)
        for name in SENSORS:
            assert isinstance(getattr(snapshot, name), NotMeasured), name
        assert not snapshot.power.measured


def _check(snapshot: Snapshot) -> None:
    for name in SENSORS:
        measured = getattr(snapshot, name)
        assert isinstance(measured, NotMeasured | Reading), name
        assert isinstance(measured, NotMeasured) or measured.time <= snapshot.time, name
    assert all(math.isfinite(number) for number in _floats(asdict(snapshot)))
    assert 0 <= snapshot.power.watts.value <= 2000
    assert 0 <= snapshot.power.board.idle_w <= snapshot.power.board.busy_w


def _floats(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _floats(inner)


def test_paths_are_only_read(machine: Machine) -> None:
    before = {path: path.stat().st_mtime_ns for path in _files(machine.write(pi()).root)}
    Sampler(BOARD, SensedMachine(root=machine.root, counters=Kernel(HIDDEN), firmware=Firmware())).sample(1.0)
    assert {path: path.stat().st_mtime_ns for path in _files(machine.root)} == before


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())
