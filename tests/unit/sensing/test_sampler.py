"""Everything at once, of a Pi, of a machine that shows nothing, and of one whose files are nonsense."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabd.sensing.battery import Battery
from collabd.sensing.firmware import vcgencmd
from collabd.sensing.frequency import Frequency
from collabd.sensing.power import board_power
from collabd.sensing.reading import NotMeasured, Reading
from collabd.sensing.sampler import Sampler, Snapshot
from collabd.sensing.throttling import Throttling
from tests.unit.sensing.conftest import PMIC, Firmware, Machine, pi

BOARD = board_power("pi4")


def test_a_pi(machine: Machine) -> None:
    sampler = Sampler(BOARD, Firmware(), machine.write(pi()).root)
    first = sampler.sample(10.0)
    assert isinstance(first.load, NotMeasured)
    machine.write(pi(busy=30, idle=70))
    snapshot = sampler.sample(11.0)
    assert snapshot.time == 11.0
    assert isinstance(snapshot.load, Reading)
    assert snapshot.load.value.cores == (0.3, 0.3, 0.3, 0.3)
    assert snapshot.load.value.own == 0.075
    assert isinstance(snapshot.pressure, Reading)
    assert snapshot.pressure.value == pytest.approx(0.3)
    assert isinstance(snapshot.frequency, Reading)
    assert snapshot.frequency.value == Frequency(600.0, 1500.0, 1800.0)
    assert isinstance(snapshot.temperature, Reading)
    assert snapshot.temperature.value == 48.199
    assert isinstance(snapshot.throttling, Reading)
    assert snapshot.throttling.value.now.under_voltage is True
    assert isinstance(snapshot.battery, Reading)
    assert snapshot.battery.value == Battery(0.81, "discharging", pytest.approx(3.12))
    assert (snapshot.power.source, snapshot.power.watts.value) == ("ina219", pytest.approx(3.12))


def test_a_machine_that_shows_nothing(machine: Machine) -> None:
    snapshot = Sampler(BOARD, Firmware(), machine.root).sample(1.0)
    missing = (snapshot.load, snapshot.pressure, snapshot.frequency, snapshot.temperature, snapshot.throttling)
    assert all(isinstance(measured, NotMeasured) and measured.reason for measured in (*missing, snapshot.battery))
    assert not snapshot.power.measured
    assert snapshot.power.watts.value == (BOARD.busy_w + BOARD.idle_w) / 2


def test_a_snapshot_is_json(machine: Machine) -> None:
    snapshot = Sampler(BOARD, Firmware(), machine.write(pi()).root).sample(10.0)
    decoded = msgspec.json.decode(msgspec.json.encode(snapshot))
    assert decoded["temperature"] == {"value": 48.199, "time": 10.0, "spread": 0.5}
    assert "two samples" in decoded["load"]["reason"]


def test_this_machine() -> None:
    sampler = Sampler(BOARD, vcgencmd())
    assert isinstance(sampler.sample(1.0), Snapshot)
    _check(sampler.sample(2.0))


RAPL = {f"sys/class/powercap/intel-rapl:0/{name}": "1" for name in ("name", "energy_uj", "max_energy_range_uj")}
NUMBERS = st.integers(-(10**30), 10**30).map(str) | st.floats().map(str)
CONTENT = (
    st.binary(max_size=60)
    | (NUMBERS | st.sampled_from(["package-0", "ina219", "Battery", "Discharging", "rpi_volt", PMIC])).map(str.encode)
    | st.lists(NUMBERS, max_size=12).map(lambda numbers: f"cpu0 {' '.join(numbers)}".encode())
)


@settings(max_examples=150)
@given(data=st.data())
def test_nonsense_never_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    good = pi() | RAPL

    def spoil() -> None:
        spoilt = data.draw(st.dictionaries(st.sampled_from(sorted(good)), CONTENT, max_size=8))
        machine.write({**good, **spoilt})

    spoil()
    firmware = Firmware({name: data.draw(st.text() | st.just(PMIC)) for name in ("get_throttled", "pmic_read_adc")})
    sampler = Sampler(BOARD, firmware, machine.root)
    for now in (0.0, 1.0, 1.0, 9.0):
        _check(sampler.sample(now))
        spoil()


@given(content=st.text(alphabet="xyz#! \n\0", max_size=40))
def test_words_without_a_figure_measure_nothing(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    machine = Machine(tmp_path_factory.getbasetemp()).write(dict.fromkeys(pi() | RAPL, content))
    sampler = Sampler(BOARD, Firmware(dict.fromkeys(("get_throttled", "pmic_read_adc"), content)), machine.root)
    for now in (0.0, 1.0):
        snapshot = sampler.sample(now)
        for name in ("load", "pressure", "frequency", "temperature", "throttling", "battery"):
            assert isinstance(getattr(snapshot, name), NotMeasured), name
        assert not snapshot.power.measured


def _check(snapshot: Snapshot) -> None:
    for name, measured in msgspec.structs.asdict(_Fields.of(snapshot)).items():
        assert isinstance(measured, NotMeasured | Reading), name
        if isinstance(measured, Reading):
            assert math.isfinite(measured.spread), name
            assert measured.time <= snapshot.time, name
            assert isinstance(measured.value, Throttling) or _finite(measured.value), name
    watts = snapshot.power.watts
    assert 0 <= watts.value <= 2000
    assert 0 <= snapshot.power.board.idle_w <= snapshot.power.board.busy_w < math.inf


class _Fields(msgspec.Struct):
    load: object
    pressure: object
    frequency: object
    temperature: object
    battery: object
    throttling: object

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Fields:
        return cls(*(getattr(snapshot, name) for name in cls.__struct_fields__))


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    numbers = msgspec.json.decode(msgspec.json.encode(value))
    return not any(number is None for number in numbers.get("cores", []))


def test_paths_are_only_read(machine: Machine) -> None:
    before = {path: path.stat().st_mtime_ns for path in _files(machine.write(pi()).root)}
    Sampler(BOARD, Firmware(), machine.root).sample(1.0)
    assert {path: path.stat().st_mtime_ns for path in _files(machine.root)} == before


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())
