"""What counts promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.catalog.package.promise import conceivable, promised


@pytest.mark.parametrize(
    ("agreed", "images", "promise"),
    [
        (0, 0, 0.0),
        (0, 5, 0.0),
        (10, 10, 0.909),
        (50, 50, 0.980),
        (100, 100, 0.990),
        (1000, 1000, 0.999),
        (990, 1000, 0.986),
        (99.5, 100, 0.982),
    ],
)
def test_what_is_documented(agreed: float, images: float, promise: float) -> None:
    assert promised(agreed, images) == pytest.approx(promise, abs=5e-4)


@given(st.floats(1e-3, 1e4), st.floats(0, 1))
def test_a_promise_is_below_what_was_counted_and_what_is_conceivable_above(images: float, share: float) -> None:
    agreed = images * share
    low, high = promised(agreed, images), conceivable(agreed, images)
    assert 0 <= low <= high <= 1
    assert low <= share + 1e-9
    assert high >= share - 1e-9


def test_of_rows_picked_by_their_promise_five_in_six_keep_it() -> None:
    rng = np.random.default_rng(3)
    true, images = 0.99, 500
    promises = [promised(agreed, images) for agreed in rng.binomial(images, true, 4000)]
    assert np.mean([promise <= true for promise in promises]) > 0.8
