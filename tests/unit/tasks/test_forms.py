"""The forms of an answer, and what names them."""

from __future__ import annotations

import numpy as np
import pytest

from collabd.catalog.package.manifest import Manifest
from collabd.tasks.forms import AnswerForms
from tests.task_networks import BOXES, package_of


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return package_of("detect", tmp_path_factory.mktemp("packages") / "tiny").manifest


@pytest.mark.parametrize(
    ("named", "raw", "form"),
    [
        ({"boxes", "scores"}, False, "usual"),
        ({"boxes", "scores"}, True, "raw"),
        ({"detections"}, False, "rows"),
        ({"detections"}, True, "rows"),
        ({"detections", "boxes"}, False, "usual"),
        ({"nothing"}, False, "usual"),
        ({"nothing"}, True, "raw"),
    ],
)
def test_outputs_name_the_form(detector: Manifest, named: set[str], raw: bool, form: str) -> None:
    forms = AnswerForms(detector)
    assert forms.named(named, raw=raw) is getattr(forms, form)


def test_rows_are_suppressed_sorted_and_filled_up(detector: Manifest) -> None:
    boxes = np.zeros((1, BOXES, 4), np.float32)
    boxes[0, :3] = [[2, 2, 22, 22], [3, 3, 23, 23], [30, 4, 40, 14]]
    scores, classes = np.zeros((1, BOXES), np.float32), np.zeros((1, BOXES), np.int32)
    scores[0, :3], classes[0, :3] = [0.9, 0.8, 0.1], [1, 1, 2]
    forms = AnswerForms(detector, of_input=True)
    assert forms.rows is not None
    outputs = dict(zip(detector.output_names, (boxes, scores, classes), strict=True))
    rows = forms.rows(outputs, (48, 32))["detections"]
    assert rows.shape == forms.rows.ports[0].shape
    expected = np.array([[2, 2, 22, 22, 0.9, 1], [30, 4, 40, 14, 0.1, 2], [0, 0, 0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(rows[0, :3], expected)
    assert forms.rows.line({"detections": rows})() == "2 rows of boxes"


def test_the_networks_input_is_not_mapped_back_to_another_picture(detector: Manifest) -> None:
    boxes = np.zeros((1, BOXES, 4), np.float32)
    boxes[0, 0] = [4, 4, 20, 12]
    scores = np.zeros((1, BOXES), np.float32)
    scores[0, 0] = 0.9
    outputs = dict(zip(detector.output_names, (boxes, scores, np.zeros((1, BOXES), np.int32)), strict=True))
    for of_input, size, expected in ((True, (48, 32), [4, 4, 20, 12]), (False, (96, 64), [8, 8, 40, 24])):
        answer = AnswerForms(detector, of_input=of_input).usual(outputs, size)
        np.testing.assert_allclose(answer["boxes"][0], expected)
