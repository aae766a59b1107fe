"""What load, clock and throttling say of the speed to come, as a table of machines."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.sensing.machine.cpu import Load
from collabd.sensing.machine.frequency import Frequency
from collabd.sensing.machine.slowdown import clocking, competing, crowding
from collabd.sensing.machine.throttling import Flags, Throttling
from collabd.sensing.reading import NotMeasured, Reading

HIDDEN = NotMeasured("hidden")
FREE, FULL = (0.0,) * 4, (1.0,) * 4


def known(load: Load) -> Reading[Load]:
    return Reading(load, 0.0, spread=0.0)


@pytest.mark.parametrize(
    ("load", "threads", "expected"),
    [
        (Load(FREE, own=0.0), 4, 1.0),
        (Load((1.0, 1.0, 1.0, 0.0), own=0.0), 1, 1.0),  # a core is free
        (Load(FULL, own=0.0), 1, 2.0),
        (Load(FULL, own=0.0, waiting=4), 1, 3.0),  # eight tasks on four cores
        (Load(FULL, own=0.0), 4, 2.0),
        (Load((1.0, 0.0, 0.0, 0.0), own=0.0), 4, 1.25),
        (Load((1.0, 0.0, 0.0, 0.0), own=0.0), 3, 1.0),
        (Load(FULL, own=1.0), 4, 1.0),  # it is ourselves
        (Load(FULL, own=0.5, waiting=4), 4, 2.0),  # four of ours, four others, each half the time
    ],
)
def test_crowding(load: Load, threads: int, expected: float) -> None:
    assert crowding(known(load), HIDDEN, threads) == pytest.approx(expected)


def test_pressure_tells_how_often_there_was_one_that_waited() -> None:
    burst = Load(FULL, own=0.0, waiting=4)
    assert competing(burst, Reading(0.0, 0.0, spread=0.0)) == pytest.approx(4)
    assert competing(burst, Reading(0.5, 0.0, spread=0.0)) == pytest.approx(6)
    assert competing(Load(FULL, own=0.0), Reading(0.5, 0.0, spread=0.0)) == pytest.approx(4.5)


def test_load_that_is_not_measured_slows_nothing() -> None:
    assert crowding(HIDDEN, HIDDEN, 4) == 1.0


shares = st.floats(0, 1)


@given(st.lists(shares, min_size=1, max_size=8), shares, st.integers(0, 20), shares, st.integers(1, 16))
@example([2.225073858507e-311], 0.0, 0, 1.0, 1)
def test_no_load_speeds_up(cores: list[float], own: float, waiting: int, pressure: float, threads: int) -> None:
    load = Load(tuple(cores), own=own, waiting=waiting)
    slowed = crowding(known(load), Reading(pressure, 0.0, spread=0.0), threads)
    assert 1.0 <= slowed < float("inf")


CLOCK = Frequency(now_mhz=600.0, limit_mhz=1200.0, max_mhz=1800.0)


@pytest.mark.parametrize(
    ("clock", "flags", "expected"),
    [
        (None, None, 1.0),
        (CLOCK, None, 1.5),  # an idle core's own clock says nothing
        (CLOCK, Flags(throttled=False), 1.5),
        (None, Flags(throttled=True), 1.7),
        (CLOCK, Flags(frequency_capped=True), 1.7),
        (None, Flags(under_voltage=True), 1.0),  # a warning alone
        (Frequency(1500.0, 1500.0, 1400.0), None, 1.0),  # overclocked
    ],
)
def test_clocking(clock: Frequency | None, flags: Flags | None, expected: float) -> None:
    frequency = HIDDEN if clock is None else Reading(clock, 0.0, spread=0.0)
    throttling = HIDDEN if flags is None else Reading(Throttling(flags, flags, "boot"), 0.0, spread=0.0)
    assert clocking(frequency, throttling) == pytest.approx(expected)
