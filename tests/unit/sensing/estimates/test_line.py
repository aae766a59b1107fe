"""Learning a line from noisy samples."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.estimates.line import Line


def line() -> Line:
    return Line(offset=0.02, slope=8e-7, scale=10_000, memory=0.7)


def feed(learner: Line, offset: float, slope: float, sizes: list[int], seed: int = 1) -> None:
    noise = random.Random(seed)
    for size in sizes:
        learner.learn(size, (offset + slope * size) * noise.uniform(0.97, 1.03))


MIXED = [1_000, 15_000, 4_000, 40_000, 900, 16_000] * 3


@pytest.mark.parametrize("slope", [8 / 0.5e6, 8 / 5e6, 8 / 50e6])
@pytest.mark.parametrize("offset", [0.002, 0.02, 0.2])
def test_sizes_that_differ_tell_offset_and_slope_apart(offset: float, slope: float) -> None:
    learner = line()
    feed(learner, offset, slope, MIXED)
    for size in (1_000, 10_000, 40_000):
        assert learner.at(size) == pytest.approx(offset + slope * size, rel=0.1, abs=1e-3)


def test_one_size_alone_is_still_predicted() -> None:
    learner = line()
    feed(learner, 0.02, 8 / 1e6, [5_000] * 300)
    assert learner.at(5_000) == pytest.approx(0.06, rel=0.05)
    assert learner.offset >= 0
    assert learner.slope >= 0


def test_the_first_sample_outweighs_the_guess() -> None:
    learner = line()
    learner.learn(16_000, 0.3)
    assert learner.at(16_000) == pytest.approx(0.3, rel=0.15)


def test_a_tenfold_change_is_taken_in_at_once() -> None:
    learner = line()
    feed(learner, 0.02, 8 / 5e6, MIXED)
    learner.learn(16_000, 0.02 + 16_000 * 8 / 0.5e6)
    assert learner.at(16_000) == pytest.approx(0.276, rel=0.15)


def test_spread_follows_the_noise() -> None:
    steady, noisy = line(), line()
    feed(steady, 0.02, 8 / 5e6, MIXED * 2)
    noise = random.Random(3)
    for size in MIXED * 2:
        noisy.learn(size, (0.02 + size * 8 / 5e6) * noise.uniform(0.6, 1.4))
    assert steady.spread < 0.1 < noisy.spread


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_no_sample_at_all(seconds: float) -> None:
    learner = line()
    learner.learn(1_000, seconds)
    assert learner.samples == 0
    assert learner.at(1_000) == pytest.approx(0.0208)


@given(st.lists(st.tuples(st.floats(0, 1e7), st.floats(1e-5, 100)), max_size=40))
def test_it_stays_finite_and_not_negative(samples: list[tuple[float, float]]) -> None:
    learner = line()
    for size, seconds in samples:
        learner.learn(size, seconds)
    for value in (learner.offset, learner.slope, learner.spread, learner.at(10_000)):
        assert math.isfinite(value)
        assert value >= 0
