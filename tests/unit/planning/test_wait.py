"""How long an answer may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.planning import CloudState, Wait, expected_wait

CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.02,
    up_s_per_byte=1e-6,
    down_s_per_byte=2e-6,
    link_spread=0.5,
    speed=1.5,
    speed_spread=0.1,
    queue_s=0.004,
)


def test_the_median_is_the_sum_of_all_that_it_waits_for() -> None:
    wait = expected_wait(CLOUD, up_bytes=50_000, down_bytes=1_000, work_s=0.01)
    assert wait.median_s == pytest.approx(0.02 + 0.05 + 0.002 + 0.004 + 0.015)
    assert wait.longer_than(wait.median_s) == pytest.approx(0.5)


def test_the_round_trip_is_sure_and_the_bytes_are_not() -> None:
    few, many = (expected_wait(CLOUD, up_bytes=size, down_bytes=0, work_s=0.0) for size in (100, 100_000))
    assert few.sure_s > 0.015
    assert few.longer_than(2 * few.median_s) < 0.02
    assert many.longer_than(2 * many.median_s) > 0.05


def test_a_busy_companion_is_as_unsure_as_its_speed() -> None:
    shaky = replace(CLOUD, speed_spread=0.5)
    sure, unsure = (expected_wait(it, up_bytes=100, down_bytes=0, work_s=0.1) for it in (CLOUD, shaky))
    assert unsure.longer_than(1.5 * unsure.median_s) > 3 * sure.longer_than(1.5 * sure.median_s)


def test_one_in_a_hundred_goes_astray() -> None:
    wait = Wait(0.0, 0.1, 0.05)
    assert wait.longer_than(0.2) == pytest.approx(0.01 / 3, rel=0.01)
    assert wait.longer_than(10.0) == pytest.approx(0.01 / 101, rel=0.01)


@given(st.floats(0, 10), st.floats(1e-4, 100), st.floats(0.01, 3), st.lists(st.floats(0, 1e6), min_size=2, max_size=10))
def test_it_is_a_distribution(sure: float, unsure: float, spread: float, times: list[float]) -> None:
    wait = Wait(sure, unsure, spread)
    chances = [wait.longer_than(seconds) for seconds in sorted(times)]
    assert all(0 < chance <= 1 for chance in chances)
    assert chances == sorted(chances, reverse=True)
    assert wait.longer_than(sure) == 1
