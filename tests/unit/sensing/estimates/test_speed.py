"""The speed factor: outcomes, what is expected of the load, and how the two take turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.sensing.estimates.speed import SpeedFactor


def ran(speed: SpeedFactor, factor: float, *, times: int = 1, start: float = 0.0, expected: float = 1.0) -> float:
    """Runs of 10 ms times `factor`, one each tenth of a second; the time after them."""
    for step in range(times):
        speed.learn(measured_s=0.01 * factor, profiled_s=0.01, whole_s=0.01, now=start + step / 10, expected=expected)
    return start + times / 10


def test_speed_follows_the_machine() -> None:
    speed = SpeedFactor(8.0)
    now = ran(speed, 2.0, times=12)
    assert speed.read(now).value == pytest.approx(2.0, rel=0.05)
    assert speed.read(now).spread < 0.3


def test_one_interrupted_run_does_not_look_like_a_slow_machine() -> None:
    speed = SpeedFactor()
    now = ran(speed, 100.0)
    assert speed.read(now).value < 1.7


@pytest.mark.parametrize("factors", [(3.0, 2.5), (0.4, 0.5)])
def test_two_surprises_in_a_row_are_a_change(factors: tuple[float, float]) -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    for factor in factors:
        now = ran(speed, factor, start=now)
    assert speed.read(now).value == pytest.approx(math.sqrt(math.prod(factors)), rel=0.02)


def test_surprises_apart_are_none() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    for _ in range(5):
        now = ran(speed, 3.0, start=now)
        now = ran(speed, 1.0, start=now, times=10)
    assert speed.read(now).value == pytest.approx(1.0, rel=0.1)


def test_load_that_comes_slows_before_anything_ran() -> None:
    speed = SpeedFactor(4.0)
    now = ran(speed, 4.0, times=50)
    assert speed.read(now, expected=2.0).value < 5  # the last run is a tenth of a second ago, and was not slow
    assert speed.read(now + 4, expected=2.0).value == pytest.approx(8.0, rel=0.05)
    assert speed.read(now + 4, expected=2.0).spread > speed.read(now + 4).spread + 0.1


def test_load_that_left_is_no_longer_in_the_way_though_nothing_ran() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    now = ran(speed, 3.5, start=now, times=20, expected=2.0)  # slowed more than it looked
    assert speed.read(now, expected=2.0).value == pytest.approx(3.5, rel=0.05)
    assert speed.read(now + 3, expected=1.0).value == pytest.approx(1.0, rel=0.1)


def test_load_that_the_sensors_showed_late_leaves_no_trace() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=100)
    now = ran(speed, 3.0, start=now, times=5, expected=1.0)  # half a second before they do
    now = ran(speed, 3.0, start=now, times=20, expected=3.0)
    assert speed.read(now, expected=3.0).value == pytest.approx(3.0, rel=0.05)
    assert speed.read(now + 4, expected=1.0).value == pytest.approx(1.0, rel=0.1)


def test_outcomes_are_believed_while_the_machine_looks_the_same() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    now = ran(speed, 2.0, start=now, times=5)
    assert speed.read(now + 1).value == pytest.approx(2.0, rel=0.15)
    assert speed.read(now + 60).value == pytest.approx(1.0, rel=0.15)


def test_a_machine_that_is_always_slower_is_usually_so() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    now = ran(speed, 2.0, start=now, times=2000)
    assert speed.read(now + 10).value == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("factor", [2.0, 10.0, 100.0])
def test_what_keeps_calls_away_is_forgotten(factor: float) -> None:
    speed = SpeedFactor(4.0)
    now = ran(speed, 4.0 * factor, times=3000)
    assert speed.read(now).value == pytest.approx(4.0 * factor, rel=0.1)
    in_between = speed.read(now + 60)
    assert 4.0 < in_between.value < 4.0 * factor
    assert in_between.spread > 0.2  # it is one or the other
    assert speed.read(now + 600).value == pytest.approx(4.0, rel=0.01)
    assert speed.read(now + 600).spread < 0.15


def test_a_scatter_that_keeps_calls_away_is_forgotten() -> None:
    speed = SpeedFactor()
    now = 0.0
    for factor in (0.4, 2.5) * 10:
        now = ran(speed, factor, start=now)
    assert speed.read(now).spread > 0.5
    assert speed.read(now + 600).spread < 0.12


def test_a_run_after_a_silence_says_what_holds() -> None:
    speed = SpeedFactor()
    now = ran(speed, 8.0, times=3000)
    assert speed.read(now + 100).value < 1.3
    now = ran(speed, 8.0, start=now + 100)
    assert speed.read(now).value == pytest.approx(8.0, rel=0.1)
    # It was tried in vain: the next time it is believed for longer.
    assert speed.read(now + 100).value > 1.5
    now = ran(speed, 1.0, start=now + 600)
    assert speed.read(now).value == pytest.approx(1.0, rel=0.2)


def test_a_machine_that_is_faster_than_profiled_stays_so() -> None:
    speed = SpeedFactor()
    now = ran(speed, 0.5, times=3000)
    assert speed.read(now + 3600).value == pytest.approx(0.5, rel=0.05)


def test_what_disturbs_a_short_head_says_little_of_the_whole_network() -> None:
    speed = SpeedFactor()
    for step in range(100):
        # Each run is disturbed for 2 ms.
        speed.learn(measured_s=0.003, profiled_s=0.001, whole_s=0.1, now=step / 5)
        speed.learn(measured_s=0.102, profiled_s=0.1, whole_s=0.1, now=step / 5 + 0.1)
    read = speed.read(20.0)
    assert 1.02 <= read.value < 1.05
    assert read.spread < 0.05


def test_heads_alone_show_a_machine_that_became_slower() -> None:
    speed = SpeedFactor()
    now = ran(speed, 1.0, times=50)
    for step in range(50):
        speed.learn(measured_s=0.006, profiled_s=0.003, whole_s=0.01, now=now + step / 10)
    assert speed.read(now + 5).value == pytest.approx(2.0, rel=0.1)


@given(
    st.lists(
        st.tuples(st.floats(-1, 1e3), st.floats(0, 1e3), st.floats(0, 1e3), st.floats(1, 100), st.floats(0, 1e6)),
        max_size=30,
    )
)
@example([(5e-324, 1.0, 1.0, 1.0, 0.0), (5e-324, 4.0, 1.0, 1.0, 0.0)])
def test_speed_stays_finite_and_positive(runs: list[tuple[float, float, float, float, float]]) -> None:
    speed = SpeedFactor()
    for measured, profiled, whole, expected, now in runs:
        speed.learn(measured_s=measured, profiled_s=profiled, whole_s=whole, now=now, expected=expected)
        read = speed.read(now, expected)
        assert 0 < read.value < math.inf
        assert 0 <= read.spread < math.inf
