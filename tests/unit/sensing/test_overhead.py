"""What a call takes beside its parts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.overhead import Overhead


@pytest.mark.parametrize("seconds", [2e-4, 0.02])
def test_it_is_learned_within_a_few_dozen_calls(seconds: float) -> None:
    overhead = Overhead()
    for _ in range(60):
        overhead.learn(seconds)
    assert overhead.seconds == pytest.approx(seconds, rel=0.1)


def test_a_call_that_was_held_up_is_no_rule() -> None:
    overhead = Overhead()
    for _ in range(60):
        overhead.learn(0.002)
    overhead.learn(5.0)
    assert overhead.seconds == pytest.approx(0.0022, rel=0.05)


@given(st.lists(st.floats(-10, 1e6), max_size=50))
def test_it_stays_positive_and_finite(calls: list[float]) -> None:
    overhead = Overhead()
    for seconds in calls:
        overhead.learn(seconds)
    assert 0 < overhead.seconds < math.inf
