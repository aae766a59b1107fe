from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.tasks.suppression import suppress

# Corners on a grid: then intersections and unions are whole numbers, and no ratio of two lies so near to a threshold
# that float32 could tell it otherwise than fractions do.
_box = st.tuples(*[st.integers(0, 20)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
_detection = st.tuples(_box, st.sampled_from([0.1, 0.25, 0.5, 0.5, 0.9]), st.integers(0, 2))
_thresholds = st.sampled_from(["0", "0.3", "0.45", "0.5", "0.6", "0.7", "1"])


def slowly(found: list[tuple[tuple[int, int, int, int], float, int]], iou_threshold: str, most: int) -> list[int]:
    """The definition, in fractions, one box after the other."""
    left = sorted(range(len(found)), key=lambda index: -found[index][1])
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [
            index
            for index in left
            if found[index][2] != found[best][2] or iou(found[index][0], found[best][0]) <= Fraction(iou_threshold)
        ]
    return kept[:most]


def iou(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> Fraction:
    def cells(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    union = cells(one) | cells(other)
    return Fraction(len(cells(one) & cells(other)), len(union)) if union else Fraction(0)


@given(st.lists(_detection, max_size=25), _thresholds, st.integers(1, 30))
def test_what_stays_is_what_the_definition_says(
    found: list[tuple[tuple[int, int, int, int], float, int]], iou_threshold: str, most: int
) -> None:
    boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in found], np.float32)
    classes = np.array([kind for _, _, kind in found], np.int32)
    kept = suppress(boxes, scores, classes, iou_threshold=float(iou_threshold), most=most)
    assert kept.tolist() == slowly(found, iou_threshold, most)


def test_a_box_that_went_removes_no_other() -> None:
    # The middle one overlaps both of its neighbours, which do not overlap each other.
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    kept = suppress(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32), iou_threshold=0.3, most=100)
    assert kept.tolist() == [0, 2]


@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_number_of_equal_boxes_leaves_one_of_each_class(count: int) -> None:
    boxes = np.tile(np.array([1, 2, 30, 40], np.float32), (count, 1))
    classes = np.arange(count, dtype=np.int32) % 7
    kept = suppress(boxes, np.ones(count, np.float32), classes, iou_threshold=0.5, most=100)
    assert kept.tolist() == list(range(min(count, 7)))
