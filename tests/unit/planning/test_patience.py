"""When the device stops waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.planning import Wait, local_start_s, lost_after_s, queue_patience_s
from collabd.planning.patience import hedge_start_s

STEADY = Wait(sure_s=0.02, unsure_s=0.01, spread=0.1)
UNSURE = Wait(sure_s=0.02, unsure_s=0.10, spread=1.2)


@pytest.mark.parametrize(
    ("deadline", "tail", "median", "start"),
    [
        (0.080, 0.030, 0.020, 0.050),  # as late as still meets the deadline
        (0.080, 0.200, 0.020, 0.080),  # cannot be met from here: the companion is the only hope
        (0.010, 0.200, 0.500, 0.500),  # nor by the companion: it has its time
        (None, 0.030, 0.200, 0.600),  # as good as lost: three times the median
        (None, 0.030, 0.001, 0.250),  # but not before the floor
        (1.000, 0.030, 0.200, 0.600),  # lost before the deadline presses
    ],
)
def test_where_work_is_not_to_be_had_for_latency(
    deadline: float | None, tail: float, median: float, start: float
) -> None:
    got = local_start_s(deadline_s=deadline, local_tail_s=tail, wait=Wait(0.0, median, 0.1), price=None)
    assert got == pytest.approx(start)


@pytest.mark.parametrize(("median", "lost"), [(0.2, 0.6), (0.001, 0.25)])
def test_lost(median: float, lost: float) -> None:
    assert lost_after_s(Wait(0.0, median, 0.1)) == pytest.approx(lost)


def test_what_nobody_knows_is_hedged_at_once() -> None:
    assert hedge_start_s(UNSURE, local_tail_s=0.1, price=0.1) == 0


def test_a_sure_answer_is_hedged_only_when_overdue() -> None:
    start = hedge_start_s(STEADY, local_tail_s=0.1, price=0.1)
    assert start > STEADY.median_s
    assert STEADY.longer_than(start) < 0.02


def test_a_deadline_never_makes_it_later() -> None:
    for wait in (STEADY, UNSURE):
        free = local_start_s(deadline_s=None, local_tail_s=0.1, wait=wait, price=0.1)
        for deadline in (0.01, 0.1, 0.15, 10.0):
            assert local_start_s(deadline_s=deadline, local_tail_s=0.1, wait=wait, price=0.1) <= free


@pytest.mark.parametrize(("deadline", "start"), [(0.101, 0.001), (0.099, 0.0), (0.081, 0.0), (0.05, 0.03)])
def test_a_tail_that_may_be_in_time_starts_at_once(deadline: float, start: float) -> None:
    """Its high quantile is 100 ms. Where it cannot be in time, it starts when the answer is overdue."""
    got = local_start_s(deadline_s=deadline, local_tail_s=0.1, wait=STEADY, price=0.1)
    assert got == pytest.approx(start, abs=1e-9 if start < 0.03 else 0.03)
    assert (got > 0) == (start > 0)


def test_a_higher_price_makes_it_later_and_lost_is_the_latest() -> None:
    starts = [hedge_start_s(UNSURE, local_tail_s=0.1, price=price) for price in (0.0, 0.1, 0.5, 1.0, 3.0, 100.0)]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert starts[-1] == lost_after_s(UNSURE)


@given(
    sure=st.floats(0, 0.2),
    unsure=st.floats(1e-3, 1.0),
    spread=st.floats(0.02, 2.0),
    tail=st.floats(1e-3, 1.0),
    price=st.floats(0.01, 3.0),
)
def test_it_starts_when_the_chance_to_be_first_is_worth_the_price(
    sure: float, unsure: float, spread: float, tail: float, price: float
) -> None:
    wait = Wait(sure, unsure, spread)

    def chance(start: float) -> float:
        return wait.longer_than(start + tail) / wait.longer_than(start)

    start, wanted = hedge_start_s(wait, tail, price), price / (1 + price)
    if start > 0:
        assert chance(0) < wanted
    if start < lost_after_s(wait):
        assert chance(start) >= wanted


@pytest.mark.parametrize(
    ("local_s", "median_s", "queue_s", "patience_s"),
    [
        (0.056, 0.036, 0.0, 0.010),  # half of the 20 ms that it gains by asking
        (0.112, 0.036, 0.0, 0.038),  # a slower device gains more, and so waits longer
        (0.056, 0.066, 0.030, 0.010),  # what the queue takes is no part of what asking takes
        (0.020, 0.036, 0.0, 0.0),  # it gains nothing, so it takes nobody's place
    ],
)
def test_a_call_waits_for_others_for_half_of_its_gain(
    local_s: float, median_s: float, queue_s: float, patience_s: float
) -> None:
    assert queue_patience_s(local_s, Wait(0.0, median_s, 0.1), queue_s) == pytest.approx(patience_s)
