"""What a call takes beside its parts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.estimates.overhead import Overhead


def learned(seconds: float, *, times: int = 60, alone: bool = True, overhead: Overhead | None = None) -> Overhead:
    """After calls of that overhead, ten a second up to second 0."""
    it = overhead or Overhead()
    for call in range(times):
        it.learn(seconds, (call + 1 - times) / 10, alone=alone)
    return it


@pytest.mark.parametrize("seconds", [2e-4, 0.02])
def test_it_is_learned_within_a_few_dozen_calls(seconds: float) -> None:
    assert learned(seconds).at(0.0) == pytest.approx(seconds, rel=0.1)


def test_a_call_that_was_held_up_is_no_rule() -> None:
    overhead = learned(0.002)
    overhead.learn(5.0, 0.1, alone=True)
    assert overhead.at(0.1) == pytest.approx(0.0022, rel=0.05)


def test_a_burst_is_over_when_its_last_call_is() -> None:
    overhead = learned(0.002)
    for call in range(300):
        overhead.learn(0.3, call / 100, alone=False)
    assert overhead.at(3.0) > 0.1
    assert overhead.at(8.0) < 0.3 * overhead.at(3.0)
    assert overhead.at(20.0) == pytest.approx(0.002, rel=0.2)


def test_calls_that_are_never_alone_teach_it_too() -> None:
    assert learned(0.02, alone=False).at(0.1) == pytest.approx(0.02, rel=0.1)


def test_what_keeps_calls_away_is_forgotten() -> None:
    overhead = learned(0.05)
    assert overhead.at(10.0) > 0.03
    assert overhead.at(600.0) < 0.002


def test_what_was_quicker_than_the_first_guess_stays() -> None:
    assert learned(2e-4).at(600.0) == pytest.approx(2e-4, rel=0.1)


@given(st.lists(st.tuples(st.floats(-10, 1e6), st.floats(0, 1e6), st.booleans()), max_size=50))
def test_it_stays_positive_and_finite(calls: list[tuple[float, float, bool]]) -> None:
    overhead = Overhead()
    for seconds, now, alone in calls:
        overhead.learn(seconds, now, alone=alone)
        assert 0 < overhead.at(now) < math.inf
