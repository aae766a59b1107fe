"""Load from ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.machine.cpu import CpuLoad, Load, Ticks, parse_cores, parse_process, parse_running
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import Machine, process, stat


def test_load_by_core_and_own_share(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((100, 900), (500, 500)), "proc/self/stat": process(10, 5)}).root)
    assert isinstance(load.read(1.0), NotMeasured)
    machine.write({"proc/stat": stat((150, 950), (600, 500)), "proc/self/stat": process(50, 15)})
    reading = load.read(2.0)
    assert reading == Reading(Load(cores=(0.5, 1.0), own=0.25), time=2.0, spread=0.01)
    assert reading.value.mean == 0.75
    assert reading.value.others == 0.5


def test_the_first_sample_has_nothing_to_compare_with(machine: Machine) -> None:
    reading = CpuLoad(machine.write({"proc/stat": stat((1, 1))}).root).read(1.0)
    assert isinstance(reading, NotMeasured)
    assert "two samples" in reading.reason


def test_hidden_stat_is_not_measured(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/self/stat": process(1, 1)}).root)
    for now in (1.0, 2.0):
        assert load.read(now) == NotMeasured(f"{machine.root / 'proc/stat'}: no such file or directory")


def test_own_share_may_be_unknown(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((0, 0))}).root)
    load.read(1.0)
    machine.write({"proc/stat": stat((20, 80))})
    reading = load.read(2.0)
    assert isinstance(reading, Reading)
    assert reading.value == Load((0.2,), None)
    assert reading.value.others is None


def test_two_samples_within_a_few_ticks_are_one(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((0, 0), (0, 0))}).root)
    load.read(0.0)
    machine.write({"proc/stat": stat((50, 50), (0, 100))})
    first = load.read(1.0)
    machine.write({"proc/stat": stat((55, 50), (0, 105))})
    assert load.read(1.05) is first
    machine.write({"proc/stat": stat((150, 50), (0, 200))})
    later = load.read(2.0)
    assert isinstance(later, Reading)
    assert later.value.cores == (1.0, 0.0)


def test_a_core_that_comes_or_goes_is_left_out(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((0, 0))}).root)
    load.read(0.0)
    machine.write({"proc/stat": stat((25, 75), (1000, 0))})
    reading = load.read(1.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == (0.25,)


def test_idle_that_runs_backwards_is_no_negative_load(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((100, 100), (0, 0))}).root)
    load.read(0.0)
    machine.write({"proc/stat": stat((200, 95), (0, 100))})
    reading = load.read(1.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == (1.0, 0.0)


def test_counters_that_were_reset_are_a_new_start(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((5000, 5000))}).root)
    load.read(0.0)
    machine.write({"proc/stat": stat((10, 10))})
    assert isinstance(load.read(1.0), NotMeasured)
    machine.write({"proc/stat": stat((60, 60))})
    reading = load.read(2.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == (0.5,)


def test_columns() -> None:
    #                       user nice system idle iowait irq softirq steal guest guest_nice
    assert parse_cores("cpu3 10 20 30 400 50 6 7 8 9 9") == {3: Ticks(busy=81, total=531)}
    assert parse_cores("cpu0 1 2 3 4") == {}
    assert parse_cores("cpu0 1 2 3 four 5") == {}
    assert parse_cores("cpufreq 1 2 3 4 5") == {}


def test_a_process_may_be_called_anything() -> None:
    assert parse_process(process(30, 12, name="a) S 1 (b")) == 42
    assert parse_process("4711 (short) S 1 1") is None


@given(st.text())
def test_any_text_parses(text: str) -> None:
    assert all(0 <= ticks.busy <= ticks.total for ticks in parse_cores(text).values())
    assert parse_process(text) is None or text


counts = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


@given(st.lists(st.lists(counts, max_size=3), min_size=2, max_size=4))
def test_shares_stay_shares(tmp_path_factory: pytest.TempPathFactory, samples: list[list[tuple[int, int]]]) -> None:
    machine = Machine(tmp_path_factory.getbasetemp() / "shares")
    load = CpuLoad(machine.root)
    for now, cores in enumerate(samples):
        machine.write({"proc/stat": stat(*cores), "proc/self/stat": process(*(cores or [(0, 0)])[0])})
        reading = load.read(float(now))
        if isinstance(reading, Reading):
            assert all(0 <= core <= 1 for core in reading.value.cores)
            assert 0 <= reading.value.mean <= 1
            assert reading.value.own is not None
            assert 0 <= reading.value.own <= 1


def test_tasks_that_wait(machine: Machine) -> None:
    load = CpuLoad(machine.write({"proc/stat": stat((0, 0)), "proc/self/stat": process(0, 0)}).root)
    load.read(0.0)
    machine.write({"proc/stat": stat((80, 20)) + "procs_running 4\n"})
    reading = load.read(1.0)
    assert isinstance(reading, Reading)
    assert reading.value == Load((0.8,), own=0.0, waiting=2)


def test_running_tasks() -> None:
    assert parse_running("cpu0 1 2 3 4 5\nprocs_running 3\nprocs_blocked 0") == 3
    assert parse_running("procs_running many") == 0
