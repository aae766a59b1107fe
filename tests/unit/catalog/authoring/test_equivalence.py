from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.equivalence import compare, require_equal


def scores(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_equal_scores_agree() -> None:
    comparison = compare(scores([1, 2, 3]), scores([1, 2, 3]))
    assert (comparison.agreement, comparison.max_error) == (1.0, 0.0)


def test_the_error_is_relative_to_the_range_of_scores() -> None:
    assert compare(scores([0, 10]), scores([1, 10])).max_error == pytest.approx(0.1)


def test_another_winner_is_a_disagreement() -> None:
    expected, found = scores([0, 5, 10], [0, 5, 10]), scores([0, 5, 10], [0, 6, 5])
    assert compare(expected, found).agreement == 0.5
    with pytest.raises(InvalidPackage, match=r"agrees with the original on 50\.0% of 2 images .*float16"):
        require_equal(expected, found)


def test_a_tie_may_be_settled_either_way() -> None:
    require_equal(scores([0, 9.99, 10]), scores([0, 10, 9.99]))
    with pytest.raises(InvalidPackage):
        require_equal(scores([0, 9.8, 10]), scores([0, 10, 9.8]))


def test_one_in_a_hundred_may_differ() -> None:
    expected = np.tile(scores([0, 10]), (200, 1))
    found = expected.copy()
    found[:2] = found[:2, ::-1]
    require_equal(expected, found)
    found[:3] = scores([10, 0])
    with pytest.raises(InvalidPackage):
        require_equal(expected, found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(InvalidPackage, match="not finite"):
        require_equal(scores([0, 10]), scores([0, value]))


def test_constant_scores_are_compared_without_dividing_by_zero() -> None:
    assert compare(scores([1, 1]), scores([1, 1])).agreement == 1.0
