"""Which instrument is chosen, what the model says without one, and what is learned of busy and idle."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.machine.cpu import Load
from collabd.sensing.power.battery import BatterySensor, Discharge
from collabd.sensing.power.board import BoardPower
from collabd.sensing.power.draw import PowerFit, PowerSensor, find_meter, modelled_watts
from collabd.sensing.power.hwmon import Ina
from collabd.sensing.power.meter import Meter
from collabd.sensing.power.pmic import Pmic
from collabd.sensing.power.rapl import Rapl
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import PMIC, PMIC_W, Firmware, Machine

BOARD = BoardPower(busy_w=5.0, idle_w=2.0)
UNKNOWN = NotMeasured("hidden")
RAPL = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": "0",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
}
INA = {"sys/class/hwmon/hwmon0/name": "ina219", "sys/class/hwmon/hwmon0/power1_input": "3000000"}
BATTERY = {
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/capacity": "80",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/BAT0/power_now": "6000000",
}


def _load(share: float, time: float) -> Reading[Load]:
    return Reading(Load((share,), 0.0), time, spread=0.01)


@pytest.mark.parametrize(
    ("files", "answers", "kind"),
    [
        (RAPL | INA | BATTERY, {"pmic_read_adc": PMIC}, Rapl),
        (INA | BATTERY, {"pmic_read_adc": PMIC}, Ina),
        (BATTERY, {"pmic_read_adc": PMIC}, Pmic),
        (BATTERY, {}, Discharge),
    ],
)
def test_the_best_instrument(
    machine: Machine, files: dict[str, str], answers: dict[str, str], kind: type[object]
) -> None:
    root = machine.write(files).root
    assert isinstance(find_meter(root, Firmware(answers), BatterySensor(root)), kind)


def test_without_any_the_reason_names_all(machine: Machine) -> None:
    assert find_meter(machine.root, Firmware(), BatterySensor(machine.root)) == NotMeasured(
        "rapl: none; ina2xx: none; pmic: vcgencmd: not installed; battery: none"
    )


def test_the_model_follows_the_load() -> None:
    assert modelled_watts(BOARD, _load(0.0, 1.0), 1.0).value == 2.0
    half = modelled_watts(BOARD, _load(0.5, 1.0), 1.0)
    assert (half.value, half.time) == (3.5, 1.0)
    assert half.spread == pytest.approx(0.7)


def test_the_model_without_a_load_knows_less() -> None:
    watts = modelled_watts(BOARD, UNKNOWN, 1.0)
    assert watts.value == 3.5
    assert watts.spread == pytest.approx(math.hypot(0.7, 1.5))


def test_modelled_says_so_and_why() -> None:
    power = PowerSensor(BOARD, NotMeasured("rapl: none")).read(1.0, _load(1.0, 1.0))
    assert not power.measured
    assert (power.source, power.covers, power.reason) == ("model", "the whole board", "rapl: none")
    assert power.watts.value == 5.0
    assert power.board == BOARD


def test_measured_says_by_what(machine: Machine) -> None:
    meter = Ina.find(machine.write(INA).root)
    power = PowerSensor(BOARD, meter).read(1.0, UNKNOWN)
    assert power.measured
    assert (power.source, power.reason) == ("ina219", "")
    assert (power.watts.value, power.watts.time) == (3.0, 1.0)
    assert power.board == BOARD, "without a load nothing is learned of busy and idle"


def test_on_the_charger_the_model_stands_in(machine: Machine) -> None:
    meter = Discharge.find(BatterySensor(machine.write(BATTERY).root))
    sensor = PowerSensor(BOARD, meter)
    assert sensor.read(1.0, _load(1.0, 1.0)).watts.value == 6.0
    machine.write({"sys/class/power_supply/BAT0/status": "Charging"})
    power = sensor.read(2.0, _load(1.0, 2.0))
    assert (power.measured, power.watts.value) == (False, 5.0)
    assert "charging" in power.reason
    assert power.board == BOARD, "a gauge lags behind the load: nothing is learned from it"


def test_the_firmware_is_asked_every_other_second() -> None:
    firmware = Firmware({"pmic_read_adc": PMIC})
    sensor = PowerSensor(BOARD, Pmic(firmware))
    for now in (10.0, 11.0, 11.9):
        power = sensor.read(now, UNKNOWN)
    assert len(firmware.asked) == 1
    assert power.watts.value == pytest.approx(PMIC_W)
    assert power.watts.age(11.9) == pytest.approx(1.9)
    sensor.read(12.0, UNKNOWN)
    assert len(firmware.asked) == 2


class Bench:
    """A meter on a board of which the test knows busy and idle power."""

    name = "bench"
    covers = "a test"
    prompt = True
    every_s = 0.0

    def __init__(self, idle_w: float, busy_w: float, noise: float = 0.0) -> None:
        self._board = idle_w, busy_w
        self._noise = noise
        self._random = random.Random(5)
        self.load = 0.0
        self.is_broken = False

    def watts(self, now: float) -> float | NotMeasured:  # noqa: ARG002 - a meter has no need of it
        if self.is_broken:
            return NotMeasured("bench: unplugged")
        idle_w, busy_w = self._board
        watts = idle_w + (busy_w - idle_w) * self.load
        return watts * (1 + self._noise * self._random.uniform(-1, 1))


def test_busy_and_idle_are_learned(machine: Machine) -> None:
    bench = Bench(3.0, 9.0, noise=0.1)
    meter: Meter = bench
    sensor = PowerSensor(BOARD, meter)
    for second in range(200):
        bench.load = (second % 10) / 9
        power = sensor.read(float(second), _load(bench.load, float(second)))
    assert power.board.idle_w == pytest.approx(3.0, rel=0.1)
    assert power.board.busy_w == pytest.approx(9.0, rel=0.1)
    assert power.board.tx_base_w == BOARD.tx_base_w
    bench.is_broken = True
    power = sensor.read(200.0, _load(1.0, 200.0))
    assert (power.measured, power.reason, power.covers) == (False, "bench: unplugged", "a test")
    assert power.watts.value == pytest.approx(9.0, rel=0.1)


def test_a_load_of_before_teaches_nothing() -> None:
    sensor = PowerSensor(BOARD, Bench(3.0, 9.0))
    assert sensor.read(5.0, _load(1.0, 4.0)).board == BOARD


def test_the_worked_example() -> None:
    fit = PowerFit(BoardPower(busy_w=5.2, idle_w=2.2))
    fit.learn(0.1, 2.5, 0.0)
    fit.learn(0.9, 4.9, 1.0)
    assert fit.board.idle_w == pytest.approx(2.2)
    assert fit.board.busy_w == pytest.approx(5.2)


def test_an_idle_board_tells_idle_and_the_model_what_busy_adds() -> None:
    fit = PowerFit(BOARD)
    for second in range(100):
        fit.learn(0.02, 2.6, float(second))
    assert fit.board.idle_w == pytest.approx(2.54)
    assert fit.board.busy_w - fit.board.idle_w == pytest.approx(3.0)


def test_what_is_plugged_in_later_is_learned() -> None:
    fit = PowerFit(BOARD)
    for second in range(3000):
        fit.learn(second % 2, 2.0 + 3.0 * (second % 2) + (1.5 if second > 1000 else 0.0), float(second))
    assert fit.board.idle_w == pytest.approx(3.5, rel=0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2000), st.floats(0, 1e4)), max_size=30))
def test_no_samples_make_negative_power(samples: list[tuple[float, float, float]]) -> None:
    fit = PowerFit(BOARD)
    for load, watts, now in samples:
        fit.learn(load, watts, now)
    assert 0 <= fit.board.idle_w <= fit.board.busy_w < math.inf
