"""Learning a link that changes: offset and slope, sudden changes, and what is left when nothing is learned."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.transfer import Transfer

MIXED = [1_000, 15_000, 4_000, 40_000, 900, 16_000] * 3


def transfer() -> Transfer:
    return Transfer(offset_s=0.02, s_per_byte=8e-7, memory=0.7)


def feed(
    it: Transfer, offset: float, slope: float, sizes: list[int], *, start: float = 0.0, noise: float = 0.03
) -> float:
    """One exchange each 0.2 s; returns the time of the last."""
    luck = random.Random(1)
    now = start
    for size in sizes:
        now += 0.2
        it.learn(size, (offset + slope * size) * luck.uniform(1 - noise, 1 + noise), now)
    return now


def at(it: Transfer, size: int, now: float) -> float:
    found = it.estimate(now)
    return found.offset_s + size * found.s_per_byte


@pytest.mark.parametrize("slope", [8 / 0.5e6, 8 / 5e6, 8 / 50e6])
@pytest.mark.parametrize("offset", [0.002, 0.02, 0.2])
def test_sizes_that_differ_tell_offset_and_slope_apart(offset: float, slope: float) -> None:
    it = transfer()
    now = feed(it, offset, slope, MIXED * 2)
    for size in (1_000, 10_000, 40_000):
        assert at(it, size, now) == pytest.approx(offset + slope * size, rel=0.1, abs=1e-3)


def test_the_first_sample_outweighs_the_guess() -> None:
    it = transfer()
    it.learn(16_000, 0.3, 1.0)
    assert at(it, 16_000, 1.0) == pytest.approx(0.3, rel=0.25)


@pytest.mark.parametrize("factor", [0.1, 3, 10, 100])
def test_a_sudden_change_is_taken_in_at_once(factor: float) -> None:
    it = transfer()
    now = feed(it, 0.02, 8 / 1e6, MIXED * 2)
    it.learn(16_000, 0.02 + factor * 16_000 * 8 / 1e6, now + 0.2)
    assert at(it, 16_000, now + 0.2) == pytest.approx(0.02 + factor * 16_000 * 8 / 1e6, rel=0.2)


def test_one_outlier_among_noisy_samples_is_no_change() -> None:
    it = transfer()
    now = feed(it, 0.02, 8 / 1e6, MIXED * 3, noise=0.6)
    before = at(it, 16_000, now)
    it.learn(16_000, 3 * before, now + 0.2)
    assert at(it, 16_000, now + 0.2) < 1.8 * before


def test_a_bad_moment_is_forgotten_and_the_usual_expected() -> None:
    it = transfer()
    now = feed(it, 0.02, 8 / 5e6, MIXED * 5, noise=0.4)
    usual = at(it, 16_000, now)
    for _ in range(3):
        now += 0.2
        it.learn(16_000, 5 * usual, now)
    bad = at(it, 16_000, now)
    assert bad > 1.8 * usual
    assert at(it, 16_000, now + 30) < 0.7 * bad
    assert at(it, 16_000, now + 30) > 0.8 * usual


def test_what_is_not_refreshed_becomes_less_certain() -> None:
    it = transfer()
    now = feed(it, 0.02, 8 / 5e6, MIXED, noise=0.4)
    assert it.estimate(now + 20).spread > it.estimate(now).spread


def test_spread_follows_the_noise() -> None:
    steady, noisy = transfer(), transfer()
    now = feed(steady, 0.02, 8 / 5e6, MIXED * 2)
    feed(noisy, 0.02, 8 / 5e6, MIXED * 2, noise=0.5)
    assert steady.estimate(now).spread < 0.15 < noisy.estimate(now).spread


def test_what_was_given_up_teaches_only_where_it_should_have_ended() -> None:
    it = transfer()
    now = feed(it, 0.02, 8 / 5e6, MIXED)
    before = at(it, 16_000, now)
    it.learn_at_least(16_000, before / 2, now)
    assert at(it, 16_000, now) == before
    it.learn_at_least(16_000, 10 * before, now)
    assert at(it, 16_000, now) > 5 * before


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_no_sample_at_all(seconds: float) -> None:
    it = transfer()
    it.learn(1_000, seconds, 1.0)
    assert it.samples == 0
    assert at(it, 1_000, 1.0) == pytest.approx(0.0208)


@given(st.lists(st.tuples(st.floats(0, 1e7), st.floats(1e-5, 100), st.floats(-1, 100)), max_size=40))
def test_it_stays_finite_and_positive(samples: list[tuple[float, float, float]]) -> None:
    it = transfer()
    now = 0.0
    for size, seconds, pause in samples:
        now += pause
        it.learn(size, seconds, now)
    found = it.estimate(now)
    for value in (found.offset_s, found.s_per_byte, found.spread):
        assert 0 < value < math.inf
