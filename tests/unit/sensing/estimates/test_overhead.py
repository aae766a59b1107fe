"""What a call takes beside its parts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.estimates.overhead import Overhead, Overheads, Way


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
    assert overhead.at(0.1) == pytest.approx(0.0021, rel=0.05)


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


def test_sizes_that_differ_tell_the_base_from_the_bytes() -> None:
    overhead, luck = Overhead(), random.Random(1)
    for call in range(400):
        nbytes = luck.choice([10e3, 150e3, 400e3])
        overhead.learn((0.002 + nbytes * 2e-8) * luck.uniform(0.8, 1.2), call / 10, nbytes, alone=True)
    for nbytes in (10e3, 150e3, 400e3):
        assert overhead.usual_s(40.0, nbytes) == pytest.approx(0.002 + nbytes * 2e-8, rel=0.15)


def test_one_call_in_ten_that_is_held_up_hardly_counts() -> None:
    overhead = Overhead()
    for call in range(300):
        overhead.learn(0.05 if call % 10 == 9 else 0.002, call / 10, alone=True)
    assert overhead.usual_s(30.0) == pytest.approx(0.002, rel=0.15)


def test_each_kind_is_learned_apart() -> None:
    overheads = Overheads()
    for call in range(60):
        now = call / 10
        overheads.learn_served(0.004, now, 10e3, of_file=True, way=Way.ALONE, alone=True)
        overheads.learn_served(0.002, now, 10e3, of_file=True, way=Way.SENDS_FILE, alone=True)
        overheads.learn_served(0.008, now, 900e3, of_file=False, way=Way.ASKS, alone=True)
        overheads.learn_caller(0.003, now, 900e3, of_file=False, alone=True)
        overheads.learn_asking(0.006, now, 15e3, alone=True)
    # No caller has said what it takes to send files.
    assert overheads.of_call_s(6.0, 10e3, of_file=True) == pytest.approx(0.0045, rel=0.1)
    assert overheads.of_call_s(6.0, 10e3, of_file=True, way=Way.SENDS_FILE) == pytest.approx(0.0025, rel=0.1)
    # Of these ways no call has told.
    assert overheads.of_call_s(6.0, 10e3, of_file=True, way=Way.ASKS) == pytest.approx(0.0045, rel=0.1)
    assert overheads.of_call_s(6.0, 900e3, of_file=False) == pytest.approx(0.011, rel=0.1)
    base_s, s_per_byte = overheads.of_asking(6.0)
    assert base_s + 15e3 * s_per_byte == pytest.approx(0.006, rel=0.1)


@given(st.lists(st.tuples(st.floats(-10, 1e6), st.floats(0, 1e6), st.booleans()), max_size=50))
def test_it_stays_positive_and_finite(calls: list[tuple[float, float, bool]]) -> None:
    overhead = Overhead()
    for seconds, now, alone in calls:
        overhead.learn(seconds, now, alone=alone)
        assert 0 < overhead.at(now) < math.inf
