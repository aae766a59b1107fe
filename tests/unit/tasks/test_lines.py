"""An answer in a line, for those who ask later. What it keeps of a large answer is little."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from collabd.catalog.package.manifest import Classify, Detect, Picture, Port, Segment
from collabd.tasks.classify import ClassifyAnswers
from collabd.tasks.detect import DetectAnswers
from collabd.tasks.segment import SegmentAnswers
from collabd.tasks.tensors import TensorAnswers

PICTURE = Picture(height=64, width=64)


def test_a_classifier_names_the_likeliest_label() -> None:
    answers = ClassifyAnswers(Classify(labels=("cat", "dog")), "out")
    assert answers.line({"scores": np.array([[0.2, 0.8]], np.float32)})() == "dog 0.80"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "nothing found"), (1, "cup 0.90 at 10,20 30x40"), (3, "cup 0.90 at 10,20 30x40; 2 more")]
)
def test_a_detector_names_the_surest_object(count: int, said: str) -> None:
    answers = DetectAnswers(Detect(classes=("cat", "cup")), PICTURE, ("boxes", "scores", "classes"))
    boxes = np.array([[10, 20, 40, 60], [0, 0, 5, 5], [0, 0, 6, 6]], np.float32)[:count]
    scores, classes = np.array([0.9, 0.6, 0.5], np.float32)[:count], np.array([1, 0, 0], np.int32)[:count]
    assert answers.line({"boxes": boxes, "scores": scores, "classes": classes})() == said


@pytest.mark.parametrize(
    ("classes", "said"), [(("ground", "road", "sky"), "road 62 %, ground 38 %"), (("person",), "person 62 %")]
)
def test_a_large_mask_is_told_by_a_grid_and_not_kept(classes: tuple[str, ...], said: str) -> None:
    answers = SegmentAnswers(Segment(classes=classes), PICTURE, "map")
    mask = np.zeros((3000, 2000), np.uint8)
    mask[:, 750:] = 1
    kept = weakref.ref(mask)
    line = answers.line({"mask": mask})
    del mask
    gc.collect()
    assert kept() is None
    assert line() == said


def test_a_mask_of_one_row_is_told() -> None:
    answers = SegmentAnswers(Segment(classes=("ground", "road")), PICTURE, "map")
    assert answers.line({"mask": np.array([[0, 1, 1, 1]], np.uint8)})() == "road 75 %, ground 25 %"


def test_of_tensors_the_names_and_forms_are_told() -> None:
    answers = TensorAnswers([Port("out", "float32", (None, 3, 2000, 2000))])
    array = np.zeros((1, 3, 2000, 2000), np.float32)
    kept = weakref.ref(array)
    line = answers.line({"out": array})
    del array
    gc.collect()
    assert kept() is None
    assert line() == "out float32 [1, 3, 2000, 2000]"
