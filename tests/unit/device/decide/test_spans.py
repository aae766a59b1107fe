"""Times of segments, from heads and tails that were measured with noise."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.device.decide.spans import Spans
from collabd.profiling.profile import CutTimes, Machine, Profile

MILLISECONDS = st.floats(0, 100)


def profile(heads: list[float], tails: list[float], whole: float) -> Profile:
    cuts = [CutTimes("image", 0.0, whole, ())]
    cuts += [CutTimes(f"cut{k}", head, tail, ()) for k, (head, tail) in enumerate(zip(heads, tails, strict=True))]
    return Profile("digest", Machine("cpu", 1, "1", "1"), 1, 1.0, whole, 1.0, tuple(cuts))


def spans(it: Profile) -> Spans:
    return Spans(it, [times.cut for times in it.cuts])


def test_what_was_measured_counts_as_it_is() -> None:
    it = spans(profile([10, 60], [95, 42], 100))
    assert it.by_heads() == pytest.approx((0.010, 0.050, 0.040))
    assert it.by_tails() == pytest.approx((0.005, 0.053, 0.042))
    assert it.seconds(0, 3) == pytest.approx(0.100)
    assert it.seconds(0, 2) == pytest.approx(0.060)
    assert it.seconds(1, 3) == pytest.approx(0.095)
    assert it.seconds(1, 2) == pytest.approx((0.050 + 0.053) / 2)


def test_cuts_that_only_one_side_measured_are_left_out() -> None:
    it = profile([10, 60], [95, 42], 100)
    assert Spans(it, ["image", "cut1"]).by_heads() == pytest.approx((0.060, 0.040))


@given(st.lists(st.tuples(MILLISECONDS, MILLISECONDS), max_size=6), MILLISECONDS)
def test_no_segment_takes_less_than_nothing(times: list[tuple[float, float]], whole: float) -> None:
    it = spans(profile([head for head, _ in times], [tail for _, tail in times], whole))
    for found in (it.by_heads(), it.by_tails()):
        assert len(found) == len(times) + 1
        assert min(found) >= 0
        assert sum(found) <= max(whole, *(max(pair) for pair in times), 0) / 1e3 + 1e-9


def test_one_that_takes_longer_than_the_next_head_shares_the_difference() -> None:
    it = msgspec.structs.replace(profile([30, 20], [70, 80], 100))
    assert spans(it).by_heads() == pytest.approx((0.025, 0.0, 0.075))
    assert spans(it).by_tails() == pytest.approx((0.025, 0.0, 0.075))
