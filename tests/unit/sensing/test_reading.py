"""Readings, their smoothing, and what is left out between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.reading import Every, NotMeasured, Reading, Smoother, gather


def test_a_reading_ages() -> None:
    assert Reading(48.0, time=10.0, spread=0.5).age(12.5) == 2.5


def test_gather_keeps_all_or_names_the_first_missing() -> None:
    assert gather([1.0, 2.0]) == [1.0, 2.0]
    assert gather([1.0, NotMeasured("no fan"), NotMeasured("no lid")]) == NotMeasured("no fan")


def test_one_sample_is_off_by_what_one_sample_may_be() -> None:
    reading = Smoother(memory_s=5.0, first_spread=0.2).learn(4.0, 1.0)
    assert (reading.value, reading.time) == (4.0, 1.0)
    assert reading.spread == pytest.approx(0.8)


def test_a_steady_value_loses_its_spread() -> None:
    smoother = Smoother(memory_s=5.0, first_spread=0.2)
    for second in range(60):
        reading = smoother.learn(4.0, float(second))
    assert reading.value == pytest.approx(4.0)
    assert reading.spread < 0.01


def test_the_mean_follows_and_the_spread_tells_of_the_jump() -> None:
    smoother = Smoother(memory_s=5.0, first_spread=0.0)
    smoother.learn(2.0, 0.0)
    reading = smoother.learn(6.0, 5.0)
    share = 1 - math.exp(-1)
    assert reading.value == pytest.approx(2 + 4 * share)
    assert reading.spread == pytest.approx(4 * math.sqrt(share * (1 - share)))


def test_a_long_pause_forgets_everything() -> None:
    smoother = Smoother(memory_s=5.0, first_spread=0.2)
    smoother.learn(2.0, 0.0)
    reading = smoother.learn(6.0, 1e4)
    assert reading.value == pytest.approx(6.0)
    assert reading.spread == pytest.approx(0.0)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_the_mean_stays_among_the_samples(samples: list[tuple[float, float]]) -> None:
    smoother = Smoother(memory_s=5.0, first_spread=0.2)
    for watts, now in samples:
        reading = smoother.learn(watts, now)
    assert min(watts for watts, _ in samples) - 1e-9 <= reading.value <= max(watts for watts, _ in samples) + 1e-9
    assert math.isfinite(reading.spread)


def test_every() -> None:
    every = Every(5.0)
    assert [every.due(now) for now in (100.0, 104.9, 105.0, 109.0, 120.0)] == [True, False, True, False, True]
    always = Every(0.0)
    assert always.due(1.0)
    assert always.due(1.0)
