from __future__ import annotations

import numpy as np
import pytest

from collabd.catalog.package.manifest import Agreement
from collabd.profiling.likeness.maps import MapLikeness


def test_the_share_of_equal_pixels() -> None:
    unsplit = np.zeros((4, 2, 5), np.uint8)
    unsplit[1:3, 0] = 1
    found = unsplit.copy()
    found[1, 0, :2] = 2
    found[3, 1, 4] = 1
    likeness = MapLikeness({"map": unsplit}, "map")
    shares = likeness.shares({"map": found}, 0)
    np.testing.assert_allclose(shares[:, 0], [1.0, 0.8, 1.0, 0.9])
    np.testing.assert_allclose(likeness.shares({"map": found[2:]}, 2), shares[2:])
    # The first is empty in both. The last is empty in one: to find something there is a mistake.
    assert likeness.verdict(shares).agreement == Agreement(agreed=3, images=4, sure_agreed=2, sure_images=3)


def test_the_mean_overlap_of_the_classes_is_told_beside() -> None:
    unsplit = np.array([[[0, 0, 0, 0], [1, 1, 2, 2]], [[7, 7, 7, 7], [7, 7, 7, 7]]], np.uint8)
    found = np.array([[[0, 0, 0, 1], [1, 1, 2, 3]], [[7, 7, 7, 7], [7, 7, 7, 7]]], np.uint8)
    likeness = MapLikeness({"map": unsplit}, "map")
    shares = likeness.shares({"map": found}, 0)
    # 3 of 4 pixels of class 0, 2 of 3 of class 1, 1 of 2 of class 2, and none of class 3.
    first = (3 / 4 + 2 / 3 + 1 / 2) / 4
    np.testing.assert_allclose(shares, np.array([[6 / 8, first], [1, 1]]))
    assert likeness.verdict(shares).mean_iou == pytest.approx(first)  # nothing is to be seen in the second


def test_without_anything_to_see_no_overlap_is_told() -> None:
    nothing = {"map": np.zeros((3, 2, 2), np.uint8)}
    likeness = MapLikeness(nothing, "map")
    assert likeness.verdict(likeness.shares(nothing, 0)).mean_iou is None
