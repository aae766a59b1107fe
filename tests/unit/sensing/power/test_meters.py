"""The instruments that measure power."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.power.hwmon import Ina
from collabd.sensing.power.meter import plausible
from collabd.sensing.power.pmic import Pmic, rails_watts
from collabd.sensing.power.rapl import Rapl
from collabd.sensing.reading import NotMeasured
from tests.unit.sensing.conftest import PMIC, PMIC_W, Firmware, Machine


def _zone(folder: str, name: str, energy_uj: int, range_uj: int = 262_143_328_850) -> dict[str, str]:
    path = f"sys/class/powercap/{folder}/"
    return {
        path + "name": f"{name}\n",
        path + "energy_uj": f"{energy_uj}\n",
        path + "max_energy_range_uj": f"{range_uj}\n",
    }


def _rapl(root: Path) -> Rapl:
    meter = Rapl.find(root)
    assert isinstance(meter, Rapl)
    return meter


def test_rapl_is_power_between_two_readings(machine: Machine) -> None:
    meter = _rapl(machine.write(_zone("intel-rapl:0", "package-0", 5_000_000)).root)
    assert isinstance(meter.watts(10.0), NotMeasured)
    machine.write(_zone("intel-rapl:0", "package-0", 29_000_000))
    assert meter.watts(12.0) == pytest.approx(12.0)
    assert meter.watts(12.001) == pytest.approx(12.0)


def test_rapl_counter_wraps(machine: Machine) -> None:
    meter = _rapl(machine.write(_zone("intel-rapl:0", "package-0", 65_000_000, 65_536_000)).root)
    meter.watts(0.0)
    machine.write(_zone("intel-rapl:0", "package-0", 1_464_000, 65_536_000))
    assert meter.watts(1.0) == pytest.approx(2.0)


def test_rapl_counts_packages_and_memory_once(machine: Machine) -> None:
    def counters(joules: int) -> dict[str, str]:
        return {
            **_zone("intel-rapl:0", "package-0", joules * 1_000_000),
            **_zone("intel-rapl:1", "package-1", joules * 2_000_000),
            **_zone("intel-rapl:0:0", "core", joules * 4_000_000),
            **_zone("intel-rapl:0:1", "dram", joules * 8_000_000),
            **_zone("intel-rapl-mmio:0", "package-0", joules * 16_000_000),
        }

    meter = _rapl(machine.write(counters(0)).root)
    meter.watts(0.0)
    machine.write(counters(1))
    assert meter.watts(1.0) == pytest.approx(11.0)
    assert meter.covers == "processor and memory"


def test_rapl_of_the_platform_includes_all(machine: Machine) -> None:
    files = {**_zone("intel-rapl:0", "package-0", 0), **_zone("intel-rapl:1", "psys", 0)}
    meter = _rapl(machine.write(files).root)
    meter.watts(0.0)
    machine.write({**_zone("intel-rapl:0", "package-0", 10_000_000), **_zone("intel-rapl:1", "psys", 25_000_000)})
    assert meter.watts(1.0) == pytest.approx(25.0)
    assert meter.covers == "the whole platform"


def test_rapl_after_a_long_pause_starts_again(machine: Machine) -> None:
    meter = _rapl(machine.write(_zone("intel-rapl:0", "package-0", 0)).root)
    meter.watts(0.0)
    machine.write(_zone("intel-rapl:0", "package-0", 100_000_000))
    assert isinstance(meter.watts(600.0), NotMeasured)
    machine.write(_zone("intel-rapl:0", "package-0", 103_000_000))
    assert meter.watts(601.0) == pytest.approx(3.0)


def test_rapl_that_was_reset_is_no_power(machine: Machine) -> None:
    meter = _rapl(machine.write(_zone("intel-rapl:0", "package-0", 9_000_000_000)).root)
    meter.watts(0.0)
    machine.write(_zone("intel-rapl:0", "package-0", 0))
    watts = meter.watts(1.0)
    assert isinstance(watts, NotMeasured)
    assert "is impossible" in watts.reason


def test_rapl_that_may_not_be_read_says_why(machine: Machine) -> None:
    machine.write(_zone("intel-rapl:0", "package-0", 0))
    (machine.root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    meter = Rapl.find(machine.root)
    assert isinstance(meter, NotMeasured)
    assert "energy_uj: no such file" in meter.reason


def test_no_rapl(machine: Machine) -> None:
    assert Rapl.find(machine.root) == NotMeasured("rapl: none")
    assert Rapl.find(machine.write(_zone("intel-rapl:0:0", "core", 0)).root) == NotMeasured("rapl: none")


def _ina(number: int = 0, **files: str) -> dict[str, str]:
    return {f"sys/class/hwmon/hwmon{number}/{name}": f"{text}\n" for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "watts"),
    [
        (_ina(name="ina219", power1_input="3120000"), 3.12),
        (_ina(name="ina226", in1_input="5096", curr1_input="750", in0_input="7"), 3.822),
        (_ina(0, name="cpu_thermal", power1_input="9") | _ina(1, name="ina238", power1_input="40000"), 0.04),
        (_ina(0, name="ina226", power1_input="broken") | _ina(1, name="ina219", power1_input="2000000"), 2.0),
    ],
)
def test_ina(machine: Machine, files: dict[str, str], watts: float) -> None:
    meter = Ina.find(machine.write(files).root)
    assert isinstance(meter, Ina)
    assert meter.watts(0.0) == pytest.approx(watts)
    assert meter.name.startswith("ina2")


@pytest.mark.parametrize(
    "files",
    [
        {},
        _ina(name="ina219", curr1_input="750"),
        _ina(name="ina226", power1_input="-5000000"),
        _ina(name="ina3221", power1_input="5000000"),
    ],
)
def test_no_ina(machine: Machine, files: dict[str, str]) -> None:
    assert Ina.find(machine.write(files).root) == NotMeasured("ina2xx: none")


def test_pmic_is_the_sum_over_its_rails() -> None:
    assert rails_watts(PMIC) == pytest.approx(PMIC_W)
    meter = Pmic.find(Firmware({"pmic_read_adc": PMIC}))
    assert isinstance(meter, Pmic)
    assert meter.watts(0.0) == pytest.approx(PMIC_W)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no rail VDD_CORE"),
        ('error=1 error_msg="Command not registered"', "no rail VDD_CORE"),
        (PMIC.partition("  VDD_CORE_A")[0], "no rail VDD_CORE"),
        (PMIC.partition("  VDD_CORE_V")[0], "no voltage for VDD_CORE"),
        (PMIC.partition("   3V3_SYS_V")[0], "no voltage for 3V3_SYS, VDD_CORE"),
        (PMIC.replace("=2.0", "=nan"), "no rail VDD_CORE"),
    ],
)
def test_part_of_the_rails_is_no_measurement(text: str, reason: str) -> None:
    assert rails_watts(text) == NotMeasured(f"pmic: {reason}")
    assert isinstance(Pmic.find(Firmware({"pmic_read_adc": text})), NotMeasured)


def test_without_the_firmware() -> None:
    assert Pmic.find(Firmware()) == NotMeasured("pmic: vcgencmd: not installed")


@given(st.text() | st.from_regex(r"VDD_CORE_[AV] (current|volt)\(1\)=[0-9]{1,400}[AV]"))
def test_any_text_of_rails_parses(text: str) -> None:
    assert isinstance(rails_watts(text), float | NotMeasured)


@pytest.mark.parametrize("watts", [float("nan"), float("inf"), -0.1, 2001.0])
def test_what_no_device_draws(watts: float) -> None:
    assert isinstance(plausible(watts, "x"), NotMeasured)
