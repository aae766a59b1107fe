"""Load from the kernel's counters."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.machine.cpu import CoreTime, CpuLoad, Load, core_time, read_counters, running_tasks
from collabd.sensing.reading import NotMeasured, Reading
from tests.unit.sensing.conftest import HIDDEN, Kernel, counters


def test_load_by_core_and_own_share() -> None:
    kernel = Kernel(counters((100, 900), (500, 500), own=15))
    load = CpuLoad(kernel)
    assert isinstance(load.read(1.0), NotMeasured)
    kernel.shown = counters((150, 950), (600, 500), own=65)
    reading = load.read(2.0)
    assert isinstance(reading, Reading)
    assert reading.time == 2.0
    assert reading.spread == pytest.approx(0.01)
    assert reading.value.cores == pytest.approx((0.5, 1.0))
    assert reading.value.own == pytest.approx(0.25)
    assert reading.value.mean == pytest.approx(0.75)
    assert reading.value.others == pytest.approx(0.5)


def test_the_first_sample_has_nothing_to_compare_with() -> None:
    reading = CpuLoad(Kernel(counters((1, 1)))).read(1.0)
    assert isinstance(reading, NotMeasured)
    assert "two samples" in reading.reason


def test_hidden_counters_are_not_measured() -> None:
    load = CpuLoad(Kernel(HIDDEN))
    for now in (1.0, 2.0):
        assert load.read(now) == HIDDEN


def test_two_samples_within_a_few_ticks_are_one() -> None:
    kernel = Kernel(counters((0, 0), (0, 0)))
    load = CpuLoad(kernel)
    load.read(0.0)
    kernel.shown = counters((50, 50), (0, 100))
    first = load.read(1.0)
    kernel.shown = counters((55, 50), (0, 105))
    assert load.read(1.05) is first
    kernel.shown = counters((150, 50), (0, 200))
    later = load.read(2.0)
    assert isinstance(later, Reading)
    assert later.value.cores == (1.0, 0.0)


def test_where_a_core_comes_or_goes_the_load_is_that_of_before_until_the_next_sample() -> None:
    kernel = Kernel(counters((0, 0)))
    load = CpuLoad(kernel)
    load.read(0.0)
    kernel.shown = counters((25, 75))
    before = load.read(1.0)
    kernel.shown = counters((50, 150), (1000, 0))
    assert load.read(2.0) is before
    kernel.shown = counters((125, 175), (1050, 50))
    reading = load.read(3.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == pytest.approx((0.75, 0.5))


def test_idle_that_runs_backwards_is_no_negative_load() -> None:
    kernel = Kernel(counters((100, 100), (0, 0)))
    load = CpuLoad(kernel)
    load.read(0.0)
    kernel.shown = counters((200, 95), (0, 100))
    reading = load.read(1.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == (1.0, 0.0)


def test_counters_that_were_reset_are_a_new_start() -> None:
    kernel = Kernel(counters((5000, 5000)))
    load = CpuLoad(kernel)
    load.read(0.0)
    kernel.shown = counters((10, 10))
    assert isinstance(load.read(1.0), NotMeasured)
    kernel.shown = counters((60, 60))
    reading = load.read(2.0)
    assert isinstance(reading, Reading)
    assert reading.value.cores == pytest.approx((0.5,))


def test_columns() -> None:
    #                 user nice system idle iowait irq softirq steal guest guest_nice
    assert core_time((10, 20, 30, 400, 50, 6, 7, 8, 9, 9)) == CoreTime(busy_s=81, total_s=531)


counts = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


@given(st.lists(st.tuples(st.lists(counts, min_size=1, max_size=3), st.integers(0, 10**6)), min_size=2, max_size=4))
def test_shares_stay_shares(samples: list[tuple[list[tuple[int, int]], int]]) -> None:
    kernel = Kernel(HIDDEN)
    load = CpuLoad(kernel)
    for now, (cores, own) in enumerate(samples):
        kernel.shown = counters(*cores, own=own)
        reading = load.read(float(now))
        if isinstance(reading, Reading):
            assert all(0 <= core <= 1 for core in reading.value.cores)
            assert 0 <= reading.value.mean <= 1
            assert 0 <= reading.value.own <= 1


def test_tasks_that_wait() -> None:
    kernel = Kernel(counters((0, 0)))
    load = CpuLoad(kernel)
    load.read(0.0)
    kernel.shown = counters((80, 20), running=4)
    reading = load.read(1.0)
    assert isinstance(reading, Reading)
    assert reading.value == Load((0.8,), own=0.0, waiting=2)


@pytest.mark.parametrize(
    ("loadavg", "expected"),
    [("0.20 0.18 0.12 3/1200 11206", 3), ("0.20 0.18", 0), ("many/1200", 0), (NotMeasured("hidden"), 0)],
)
def test_running_tasks(loadavg: str | NotMeasured, expected: int) -> None:
    assert running_tasks(loadavg) == expected


class TestTheKernelsCounters:
    """As psutil reads them from files of a test, in place of /proc."""

    @pytest.fixture
    def proc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
        return tmp_path

    def test_of_each_core(self, proc: Path) -> None:
        whole = "cpu  9 9 9 9 9 9 9 9 0 0\n"
        (proc / "stat").write_text(f"{whole}cpu0 100 0 50 800 50 0 0 0 0 0\ncpu3 0 0 0 500 0 0 0 100 0 0\nintr 12 0\n")
        read = read_counters()
        assert not isinstance(read, NotMeasured)
        assert [core.busy_s for core in read.cores] == pytest.approx([1.5, 1.0])
        assert [core.total_s for core in read.cores] == pytest.approx([10.0, 6.0])
        assert read.own_s > 0
        assert read.running > 0

    @pytest.mark.parametrize("stat", ["", "cpu  1 2 3\n", "cpu  1 2 3\ncpu0 1 2 x\n", "cpu  1 2 3\ncpu0 1 2\n", "\0"])
    def test_nonsense_is_not_measured(self, proc: Path, stat: str) -> None:
        (proc / "stat").write_text(stat)
        assert isinstance(read_counters(), NotMeasured)

    def test_hidden_ones_are_not_measured(self, proc: Path) -> None:
        read = read_counters()
        assert isinstance(read, NotMeasured)
        assert str(proc / "stat") in read.reason
