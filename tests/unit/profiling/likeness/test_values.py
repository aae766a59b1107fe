from __future__ import annotations

import numpy as np
import pytest

from collabd.profiling.likeness.values import ValueLikeness


def test_the_largest_change_counts_as_a_part_of_the_range_of_its_tensor() -> None:
    large, small = np.array([[0, 50], [100, 50]], np.float32), np.array([[[0.0]], [[1.0]]], np.float32)
    likeness = ValueLikeness({"large": large, "small": small})
    changed = {"large": large + np.array([[1, 0], [0, 0]]), "small": small + np.array([[[0.0]], [[0.25]]])}
    shares = likeness.shares(changed, 0)
    np.testing.assert_allclose(shares, [[0.99], [0.75]])
    told = likeness.verdict(shares)
    assert told.agreement is None
    assert told.largest_change == pytest.approx(0.25)
    np.testing.assert_allclose(likeness.shares({name: array[1:] for name, array in changed.items()}, 1), [[0.75]])


def test_the_same_values_are_alike_whatever_they_are() -> None:
    odd = np.array([[np.nan, np.inf, 3], [-np.inf, 1, 2]])
    likeness = ValueLikeness({"odd": odd, "none": np.zeros((2, 0)), "flags": np.array([[True], [False]])})
    same = {"odd": odd.copy(), "none": np.zeros((2, 0)), "flags": np.array([[True], [False]])}
    assert likeness.shares(same, 0).tolist() == [[1], [1]]
    assert likeness.shares(same | {"flags": np.array([[True], [True]])}, 0).tolist() == [[1], [0]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_any_more_or_has_become_one_is_as_wrong_as_can_be(value: float) -> None:
    expected = np.array([[1.0, 2.0]])
    found = np.array([[1.0, value]])
    assert ValueLikeness({"y": expected}).shares({"y": found}, 0).tolist() == [[0]]
    assert ValueLikeness({"y": found}).shares({"y": expected}, 0).tolist() == [[0]]


def test_a_tensor_without_a_range_must_not_change() -> None:
    constant = np.full((2, 3), 7.0)
    likeness = ValueLikeness({"y": constant})
    assert likeness.shares({"y": constant}, 0).tolist() == [[1], [1]]
    assert likeness.shares({"y": constant + 1e-6}, 0).tolist() == [[0], [0]]
