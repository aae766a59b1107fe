"""The F1 score of boxes, against one counted by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from collabd.catalog.package.manifest import Agreement, Detect, Picture
from collabd.profiling.likeness.boxes import BoxLikeness, f1
from collabd.tasks.detect import DetectAnswers, Found

TASK = Detect(classes=("a", "b"), score_threshold=0.5, iou_threshold=0.5)
NAMES = ("boxes", "scores", "classes")
SIDE = 100
LETTERBOX = Picture(height=SIDE, width=SIDE, rule="letterbox_top_left")


def found(*boxes: tuple[float, float, float, float, int]) -> Found:
    """Boxes of falling scores: left, top, width, height and class."""
    rows = np.array([[left, top, left + width, top + height] for left, top, width, height, _ in boxes], np.float32)
    scores = np.linspace(0.9, 0.6, len(boxes), dtype=np.float32)
    return Found(rows.reshape(-1, 4), scores, np.array([each[4] for each in boxes], np.int32))


A, B = (0.0, 0.0, 10.0, 10.0, 0), (50.0, 0.0, 10.0, 10.0, 0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([], [], 1.0),
        ([A], [], 0.0),
        ([], [A], 0.0),
        ([A, B], [B, A], 1.0),
        ([A, B], [A], 2 / 3),
        ([A], [(*A[:4], 1)], 0.0),  # of another class
        ([A], [(2.0, 0.0, 10.0, 10.0, 0)], 1.0),  # 80 of 120
        ([A], [(4.0, 0.0, 10.0, 10.0, 0)], 0.0),  # 60 of 140
        ([A], [A, (1.0, 0.0, 10.0, 10.0, 0)], 2 / 3),  # a box has one match at most
    ],
)
def test_f1(one: list[tuple[float, ...]], other: list[tuple[float, ...]], expected: float) -> None:
    pair = found(*one), found(*other)  # type: ignore[arg-type]
    assert f1(*pair) == pytest.approx(expected)
    assert f1(*reversed(pair)) == pytest.approx(expected)


def best_matching(one: Found, other: Found) -> int:
    """The most pairs of one class with an overlap of half, over all ways to pair them."""
    few, many = sorted((one, other), key=lambda each: len(each.scores))
    most = 0
    for order in itertools.permutations(range(len(many.scores)), len(few.scores)):
        most = max(most, sum(_same(few, at, many, there) for at, there in enumerate(order)))
    return most


def _same(one: Found, at: int, other: Found, there: int) -> bool:
    (a, b, c, d), (e, f, g, h) = one.boxes[at], other.boxes[there]
    shared = max(min(c, g) - max(a, e), 0) * max(min(d, h) - max(b, f), 0)
    union = (c - a) * (d - b) + (g - e) * (h - f) - shared
    return bool(one.classes[at] == other.classes[there] and shared / union >= 0.5)


def test_surest_first_is_nearly_the_best_matching() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        boxes = [(*rng.uniform(0, 20, 2), *rng.uniform(8, 12, 2), int(rng.integers(2))) for _ in range(5)]
        moved = [(left + rng.normal(), top + rng.normal(), w, h, label) for left, top, w, h, label in boxes[:4]]
        one, other = found(*boxes), found(*moved)
        best = 2 * best_matching(one, other) / 9
        assert best - 2 / 9 <= f1(one, other) <= best + 1e-9


def stacked(*images: Sequence[tuple[float, float, float, float, float, int]]) -> dict[str, np.ndarray]:
    """Outputs of a network with three boxes for each image; what is not given has a score of 0."""
    boxes, scores, classes = np.zeros((len(images), 3, 4)), np.zeros((len(images), 3)), np.zeros((len(images), 3))
    for image, given in enumerate(images):
        for place, (x1, y1, x2, y2, score, label) in enumerate(given):
            boxes[image, place], scores[image, place], classes[image, place] = (x1, y1, x2, y2), score, label
    return {"boxes": boxes.astype("f4"), "scores": scores.astype("f4"), "classes": classes.astype("i4")}


def likeness_to(*unsplit: Sequence[tuple[float, float, float, float, float, int]], height: int = SIDE) -> BoxLikeness:
    """Of pictures of this height, and as wide as the network's input."""
    return BoxLikeness(stacked(*unsplit), DetectAnswers(TASK, LETTERBOX, NAMES), [(SIDE, height)] * len(unsplit))


def test_what_a_caller_gets_is_compared() -> None:
    """Boxes below the threshold, and those that suppression removes, count for nothing."""
    box, near, weak = (0, 0, 10, 10, 0.9, 0), (1, 0, 11, 10, 0.8, 0), (40, 0, 50, 10, 0.4, 1)
    likeness = likeness_to([box, near, weak], [box], [])
    shares = likeness.shares(stacked([box], [weak], []), 0)
    assert shares.tolist() == [[1.0], [0.0], [1.0]]
    assert likeness.shares(stacked([weak]), 2).tolist() == [[1.0]]
    told = likeness.verdict(shares)
    # Nothing is to be seen in the third image.
    assert told.agreement == Agreement(agreed=2, images=3, sure_agreed=1, sure_images=2)
    assert told.largest_change is None


def test_to_find_something_where_nothing_is_is_counted() -> None:
    box = (0, 0, 10, 10, 0.9, 0)
    likeness = likeness_to([], [box])
    told = likeness.verdict(likeness.shares(stacked([box], [box]), 0))
    assert told.agreement == Agreement(agreed=1, images=2, sure_agreed=1, sure_images=2)


def test_parts_of_agreement_add_up_and_are_rounded_down() -> None:
    box, other = (0, 0, 10, 10, 0.9, 0), (40, 0, 50, 10, 0.8, 1)
    likeness = likeness_to(*[[box, other]] * 3)
    shares = likeness.shares(stacked(*[[box]] * 3), 0)
    np.testing.assert_allclose(shares, [[2 / 3]] * 3)
    assert likeness.verdict(shares).agreement == Agreement(agreed=2, images=3, sure_agreed=2, sure_images=3)


def test_what_lies_in_the_pad_counts_for_nothing() -> None:
    box, in_the_pad = (0, 0, 10, 10, 0.9, 0), (0, 60, 10, 70, 0.9, 0)
    likeness = likeness_to([box, in_the_pad], [box], [in_the_pad], height=SIDE // 2)
    shares = likeness.shares(stacked([box], [box, in_the_pad], []), 0)
    assert shares.tolist() == [[1.0]] * 3
    assert likeness.verdict(shares).agreement == Agreement(agreed=3, images=3, sure_agreed=2, sure_images=2)
    lower = likeness_to([in_the_pad])
    assert lower.shares(stacked([]), 0).tolist() == [[0.0]]
