"""Rows for Frigate, and the numbers of classes in them."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.answers import Detections
from collabd.catalog.package.coco import COCO_80, COCO_90, COCO_91
from collabd.device.doors.frigate.labelmaps import UNKNOWN, numbers_of_names, own_numbers
from collabd.device.doors.frigate.rows import once_each, rows_of

# As the files list them that Frigate ships.
DEFAULT = {0: "person", 2: "car", 9: "traffic light", 12: "stop sign", 15: "bird", 89: "toothbrush"}
EIGHTY = {0: "person", 2: "car", 9: "traffic light", 11: "stop sign", 14: "bird", 79: "toothbrush"}


def detections(*found: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(found, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32), labels=COCO_80)


def test_a_row_is_class_score_and_corners_from_the_top() -> None:
    rows = rows_of(detections((32, 24, 64, 96, 0.75, 3)), (320, 240), np.arange(80) + 100)
    np.testing.assert_allclose(rows[0], [103, 0.75, 0.1, 0.1, 0.4, 0.2])
    assert not rows[1:].any()
    assert rows.shape == (20, 6)
    assert rows.dtype == np.float32


def test_twenty_rows_at_most() -> None:
    many = [(10 * at, 0, 10 * at + 9, 9, (29 - at) / 30, at % 80) for at in range(30)]
    rows = rows_of(detections(*many), (300, 10), np.arange(80))
    np.testing.assert_allclose(rows[:, 1], np.arange(29, 9, -1) / 30, atol=1e-6)


def test_boxes_of_a_class_that_overlap_more_than_frigate_allows_go() -> None:
    first, near, apart = (0, 0, 100, 100, 0.9, 1), (0, 0, 100, 41, 0.8, 1), (0, 0, 100, 39, 0.7, 1)
    other = (0, 0, 100, 100, 0.6, 2)
    np.testing.assert_allclose(once_each(detections(first, near, apart, other)).confidence, [0.9, 0.7, 0.6])
    assert len(once_each(detections())) == 0


def test_what_frigate_cannot_know_is_left_out() -> None:
    numbers = np.where(np.arange(80) == 1, UNKNOWN, np.arange(80))
    rows = rows_of(detections((0, 0, 9, 9, 0.9, 1), (20, 20, 29, 29, 0.5, 2)), (40, 40), numbers)
    assert rows[:2, 0].tolist() == [2, 0]
    assert not rows_of(detections(), (40, 40), numbers).any()


@pytest.mark.parametrize("classes", [COCO_80, COCO_90, COCO_91], ids=len)
@pytest.mark.parametrize(
    ("model_type", "labelmap"),
    [("ssd", DEFAULT), ("rfdetr", DEFAULT), ("yolox", EIGHTY), ("yologeneric", EIGHTY), ("dfine", EIGHTY)],
)
def test_names_of_coco_get_their_numbers_in_frigates_labelmap(
    classes: tuple[str, ...], model_type: str, labelmap: dict[int, str]
) -> None:
    numbers = numbers_of_names(classes, model_type)
    assert {int(numbers[classes.index(name)]): name for name in labelmap.values()} == labelmap
    unused = [number for name, number in zip(classes, numbers, strict=True) if name.startswith("unused")]
    assert set(unused) <= {UNKNOWN}
    assert len(set(numbers) - {UNKNOWN}) == 80


def test_other_names_keep_their_own_numbers() -> None:
    assert numbers_of_names(("car", "person"), "ssd").tolist() == [0, 1]
    underlined = tuple(name.replace(" ", "_").title() for name in COCO_80)
    assert numbers_of_names(underlined, "ssd").tolist() == numbers_of_names(COCO_80, "ssd").tolist()


def test_a_model_of_frigates_keeps_its_own_numbers() -> None:
    assert own_numbers(3, "yolox").tolist() == [0, 1, 2]
    # Frigate leaves out the first of RF-DETR's columns: person, 1 of 91, is 0.
    assert own_numbers(91, "rfdetr")[COCO_91.index("person")] == 0
    assert own_numbers(91, "rfdetr")[0] == UNKNOWN
