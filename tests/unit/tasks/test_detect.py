"""What a caller gets of a detector's boxes."""

from __future__ import annotations

import numpy as np
import pytest

from collabd.catalog.package.manifest import Detect, Picture, Rule
from collabd.tasks.detect import DetectAnswers

TASK = Detect(classes=("cat", "cup"), score_threshold=0.5, iou_threshold=0.5, most=2)
NAMES = ("boxes", "scores", "classes")
# A picture of 640x320 fills the upper half of an input of 320x320, or its middle, at half the size.
WIDE = (640, 320)


def answer(boxes: list[tuple[float, ...]], scores: list[float], rule: Rule = "letterbox_top_left") -> np.ndarray:
    """The boxes that a caller gets, of one class, for a wide picture."""
    outputs = {
        "boxes": np.array([boxes], np.float32),
        "scores": np.array([scores], np.float32),
        "classes": np.zeros((1, len(boxes)), np.int32),
    }
    given = DetectAnswers(TASK, Picture(height=320, width=320, rule=rule, resize_shorter=None), NAMES)(outputs, WIDE)
    assert len(given["boxes"]) == len(given["scores"]) == len(given["classes"])
    assert (given["boxes"][:, :2] < given["boxes"][:, 2:]).all()
    return np.asarray(given["boxes"])


IN_THE_PICTURE = (10, 100, 60, 150)


def test_boxes_are_in_pixels_of_the_picture() -> None:
    assert answer([IN_THE_PICTURE], [0.9]).tolist() == [[20, 200, 120, 300]]


@pytest.mark.parametrize(
    ("rule", "box"),
    [
        ("letterbox_top_left", (10, 200, 60, 250)),
        ("letterbox_top_left", (10, 160, 60, 250)),  # it only touches the picture
        ("letterbox", (10, 10, 60, 70)),
        ("letterbox", (10, 250, 60, 310)),
        ("stretch", (10, 320, 60, 330)),
        ("stretch", (10, 20, 10, 50)),
        ("stretch", (10, 20, 60, 20)),
        ("stretch", (60, 50, 10, 20)),  # its corners are swapped
        ("stretch", (np.nan, 20, 60, 50)),
    ],
)
def test_a_box_that_shows_nothing_of_the_picture_is_left_out(rule: Rule, box: tuple[float, ...]) -> None:
    assert answer([box], [0.9], rule).shape == (0, 4)


def test_a_box_that_reaches_into_the_pad_ends_where_the_picture_does() -> None:
    assert answer([(10, 100, 60, 250)], [0.9]).tolist() == [[20, 200, 120, 320]]


def test_a_box_in_the_pad_takes_no_place_and_removes_no_other() -> None:
    """It is surer than the rest, and has more than half in common with one of them."""
    reaches_in, in_the_pad = (0, 155, 100, 260), (0, 161, 100, 261)
    found = answer([in_the_pad, IN_THE_PICTURE, reaches_in], [0.9, 0.8, 0.7])
    assert found.tolist() == [[20, 200, 120, 300], [0, 310, 200, 320]]


def test_a_crop_leaves_room_around_what_the_network_saw() -> None:
    """The middle 320 columns of 640 were seen, at full size. Boxes may reach out of them and end with the picture."""
    found = answer([(-200, 10, -100, 20), (-170, 100, -160, 120)], [0.9, 0.8], "crop")
    assert found.tolist() == [[0, 10, 60, 20]]
