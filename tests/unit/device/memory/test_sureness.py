"""Whose answers may serve again: a classifier's top-1 of 50 %, and boxes that are not about to come or go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.manifest import Classify, Detect, Manifest, Segment, Task
from collabd.device.memory.sureness import is_sure, shows_something


class FakeManifest:
    def __init__(self, task: Task, outputs: Sequence[str]) -> None:
        self.task = task
        self.output_names = outputs


def manifest(task: Task, *outputs: str) -> Manifest:
    return cast("Manifest", FakeManifest(task, outputs))


@pytest.mark.parametrize(
    ("kind", "scores", "sure"),
    [
        (ScoreKind.PROBABILITIES, [0.3, 0.5, 0.2], True),
        (ScoreKind.PROBABILITIES, [0.3, 0.49, 0.21], False),
        (ScoreKind.LOGITS, [2.0, 9.0, 1.0], True),
        (ScoreKind.LOGITS, [1.0, 1.1, 1.0], False),
        (ScoreKind.INDEPENDENT, [0.9, 0.8], True),
        (ScoreKind.INDEPENDENT, [0.4, 0.3], False),
    ],
)
def test_a_classifier_is_sure_of_its_top_1(kind: ScoreKind, scores: list[float], sure: bool) -> None:
    task = Classify(labels=tuple("abc"[: len(scores)]), output_kind=kind)
    assert is_sure(manifest(task, "out"), {"out": np.array([scores], np.float32)}) == sure


@pytest.mark.parametrize(
    ("scores", "sure"), [([0.9, 0.1], True), ([0.9, 0.41], False), ([0.39, 0.1], False), ([0.43, 0.37], True)]
)
def test_a_detector_has_no_box_near_its_threshold(scores: list[float], sure: bool) -> None:
    task = Detect(classes=("cat",), score_threshold=0.4, iou_threshold=0.5)
    assert is_sure(manifest(task, "boxes", "scores", "classes"), {"scores": np.array([scores], np.float32)}) == sure


def test_a_map_says_nothing_of_it() -> None:
    assert is_sure(manifest(Segment(classes=("person",)), "map"), {"map": np.zeros((1, 4, 4), np.uint8)})


def test_boxes_and_maps_of_several_classes_show_something() -> None:
    detector = manifest(Detect(classes=("cat",), score_threshold=0.4, iou_threshold=0.5), "boxes", "scores", "classes")
    segmenter = manifest(Segment(classes=("person",)), "map")
    empty, full = np.zeros((1, 4, 4), np.uint8), np.eye(4, dtype=np.uint8)[np.newaxis]
    assert shows_something(detector, {"scores": np.array([[0.9, 0.1]], np.float32)})
    assert not shows_something(detector, {"scores": np.array([[0.3, 0.1]], np.float32)})
    assert shows_something(segmenter, {"map": full})
    assert not shows_something(segmenter, {"map": empty})
    assert shows_something(manifest(Classify(labels=("a", "b")), "out"), {})
