"""Counts that only grow, over a window of time."""

from __future__ import annotations

from collabd.health.growth import Growth


def test_the_growth_is_that_within_the_window() -> None:
    growth = Growth(60.0)
    counts = [(0, 0), (10, 1), (30, 2), (60, 5), (100, 9), (100, 9)]
    found = [growth.of(20.0 * step, *each) for step, each in enumerate(counts)]
    assert found == [(0, 0), (10, 1), (30, 2), (60, 5), (90, 8), (70, 7)]


def test_what_came_before_the_first_look_is_left_out() -> None:
    assert Growth(60.0).of(1e6, 500) == (0,)


def test_looks_that_are_further_apart_than_the_window_still_tell() -> None:
    growth = Growth(60.0)
    assert [growth.of(1000.0 * step, 7 * step) for step in range(4)] == [(0,), (7,), (7,), (7,)]
