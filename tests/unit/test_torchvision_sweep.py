"""The sweep over torchvision's networks: how it compares, and what it writes."""

from __future__ import annotations

import numpy as np
import pytest
import torchvision

from tests.bench.torchvision_sweep import LARGEST, Row, difference, names, show


def detected(*rows: tuple[float, int, float]) -> dict[str, np.ndarray]:
    """Boxes of side 10 at (x, 0), from (score, class, x)."""
    scores, classes, places = zip(*rows, strict=True)
    boxes = [[place, 0, place + 10, 10] for place in places]
    return {
        "boxes": np.array([boxes], np.float32),
        "scores": np.array([scores], np.float32),
        "classes": np.array([classes], np.int32),
    }


EXPECTED = detected((0.9, 1, 0), (0.8, 2, 30), (0.8, 1, 50), (0.3, 1, 90))


@pytest.mark.parametrize(
    ("found", "least", "most"),
    [
        (EXPECTED, 0, 0),
        (detected((0.9, 1, 0), (0.8, 1, 50), (0.8, 2, 30), (0.3, 1, 90)), 0, 0),  # equal scores in another order
        (detected((0.9, 1, 0), (0.8, 2, 30), (0.8, 1, 50), (0.3, 1, 70)), 0, 0),  # another one with the last score
        (detected((0.9, 1, 1), (0.8, 2, 30), (0.8, 1, 50), (0.3, 1, 90)), 0.009, 0.011),  # 1 of 100 pixels off
        (detected((0.9, 3, 0), (0.8, 2, 30), (0.8, 1, 50), (0.3, 1, 90)), 1, 1),  # another class
        (detected((0.45, 1, 0), (0.4, 2, 30), (0.4, 1, 50), (0.3, 1, 90)), 0.49, 1),
    ],
)
def test_boxes_are_compared_by_class_and_score(found: dict[str, np.ndarray], least: float, most: float) -> None:
    assert least <= difference(EXPECTED, found) <= most


def test_numbers_are_compared_with_the_largest_and_classes_are_counted() -> None:
    assert difference({"logits": np.array([1.0, -4.0])}, {"logits": np.array([1.5, -4.0])}) == 0.125
    assert difference({"mask": np.array([1, 2, 3, 4], np.uint8)}, {"mask": np.array([1, 2, 3, 9], np.uint8)}) == 0.25


def test_every_network_is_swept_and_the_largest_come_last() -> None:
    assert sorted(names()) == sorted(torchvision.models.list_models())
    assert set(names()[-len(LARGEST) :]) == set(LARGEST)


def test_the_table_says_who_refuses() -> None:
    rows = [
        Row("net", task="classify", size="8x8", imported=True, batch=True, cuts=3, error=1e-7, accepted=True),
        Row("odd", task="tensors", size="4", imported=True, cuts=2, error=0.0, why="If has a graph inside"),
        Row("two", why="two works in two stages: NonMaxSuppression and RoiAlign"),
    ]
    assert [row.sound for row in rows] == [True, False, False]
    lines = show(rows).splitlines()
    assert lines[2:] == [
        "| net | classify | 8x8 | yes | 3 | 1.0e-07 | accepts |",
        "| odd | tensors | 4 | no | 2 | 0.0e+00 | refuses: If has a graph inside |",
        "| two |  |  |  |  |  | works in two stages |",
    ]
