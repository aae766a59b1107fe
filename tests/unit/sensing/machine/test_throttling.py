"""The firmware's flags, from whichever source there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.machine.throttling import Flags, Throttling, ThrottlingSensor, decode, parse_word
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Firmware, Machine

NONE = Flags(under_voltage=False, frequency_capped=False, throttled=False, soft_temperature_limit=False)
STARVED = Flags(under_voltage=True, frequency_capped=False, throttled=True, soft_temperature_limit=False)
PI4 = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI5 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


def _value(sensor: ThrottlingSensor, now: float) -> Throttling:
    reading = sensor.read(now)
    assert isinstance(reading, Reading)
    return reading.value


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0x0, NONE),
        (0x1, Flags(under_voltage=True, frequency_capped=False, throttled=False, soft_temperature_limit=False)),
        (0x2, Flags(under_voltage=False, frequency_capped=True, throttled=False, soft_temperature_limit=False)),
        (0x4, Flags(under_voltage=False, frequency_capped=False, throttled=True, soft_temperature_limit=False)),
        (0x8, Flags(under_voltage=False, frequency_capped=False, throttled=False, soft_temperature_limit=True)),
        (0x50005, STARVED),
    ],
)
def test_bits(bits: int, flags: Flags) -> None:
    assert decode(bits) == flags


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("throttled=0x50005\n", 0x50005),
        ("throttled=0x0\n", 0),
        ("50005\n", 0x50005),
        ("E0000", 0xE0000),
        ("", None),
        ("throttled=", None),
        ('error=1 error_msg="Command not registered"', None),
        ("123456789", None),
    ],
)
def test_words(text: str, word: int | None) -> None:
    assert parse_word(text) == word


@given(st.text())
def test_any_text_parses(text: str) -> None:
    word = parse_word(text)
    assert word is None or 0 <= word < 1 << 32


@pytest.mark.parametrize("path", [PI4, PI5])
def test_sysfs_before_anything_else(machine: Machine, path: str) -> None:
    firmware = Firmware({"get_throttled": "throttled=0x8"})
    sensor = ThrottlingSensor(machine.write({path: "50005\n"}).root, firmware)
    assert _value(sensor, 1.0) == Throttling(now=STARVED, seen=STARVED, since="start")
    assert firmware.asked == []


def test_sysfs_forgets_and_the_sensor_does_not(machine: Machine) -> None:
    sensor = ThrottlingSensor(machine.write({PI4: "50000"}).root, Firmware())
    assert _value(sensor, 0.0) == Throttling(now=NONE, seen=STARVED, since="start")
    machine.write({PI4: "0"})
    assert _value(sensor, 2.0) == Throttling(now=NONE, seen=STARVED, since="start")


def test_vcgencmd_where_there_is_no_sysfs(machine: Machine) -> None:
    sensor = ThrottlingSensor(machine.root, Firmware({"get_throttled": "throttled=0x50000\n"}))
    assert _value(sensor, 1.0) == Throttling(now=NONE, seen=STARVED, since="boot")


def test_vcgencmd_is_not_run_at_each_sample(machine: Machine) -> None:
    firmware = Firmware({"get_throttled": "throttled=0x0\n"})
    sensor = ThrottlingSensor(machine.root, firmware)
    firmware.asked.clear()
    for now in (100.0, 101.0, 104.0):
        reading = sensor.read(now)
    assert firmware.asked == ["get_throttled"]
    assert isinstance(reading, Reading)
    assert reading.age(104.0) == 4.0
    sensor.read(105.0)
    assert len(firmware.asked) == 2


def test_hwmon_tells_of_the_under_voltage_alone(machine: Machine) -> None:
    hwmon = "sys/class/hwmon/hwmon1/"
    machine.write({hwmon + "name": "rpi_volt\n", hwmon + "in0_lcrit_alarm": "1\n"})
    sensor = ThrottlingSensor(machine.root, Firmware())
    assert _value(sensor, 0.0).now == Flags(under_voltage=True)
    machine.write({hwmon + "in0_lcrit_alarm": "0\n"})
    value = _value(sensor, 3.0)
    assert value == Throttling(now=Flags(under_voltage=False), seen=Flags(under_voltage=True), since="start")


def test_another_chips_alarm_is_not_the_firmwares(machine: Machine) -> None:
    hwmon = "sys/class/hwmon/hwmon1/"
    machine.write({hwmon + "name": "ina226\n", hwmon + "in0_lcrit_alarm": "1\n"})
    assert isinstance(ThrottlingSensor(machine.root, Firmware()).read(0.0), NotMeasured)


def test_not_a_pi(machine: Machine) -> None:
    assert ThrottlingSensor(machine.root, Firmware()).read(0.0) == NotMeasured("vcgencmd: not installed")


def test_a_source_that_stops_answering(machine: Machine) -> None:
    firmware = Firmware({"get_throttled": "throttled=0x0"})
    sensor = ThrottlingSensor(machine.root, firmware)
    firmware.answers["get_throttled"] = "VCHI initialization failed"
    reading = sensor.read(0.0)
    assert isinstance(reading, NotMeasured)
    assert "VCHI" in reading.reason


def test_what_one_source_does_not_tell_the_other_may() -> None:
    assert Flags(under_voltage=True) | Flags(under_voltage=False, throttled=False) == Flags(
        under_voltage=True, throttled=False
    )
