"""Copies of a picture, and pictures of one class, promise little fidelity."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from collabd.profiling.evidence import Reference, distinct, doubts, worth

SIDE = 48


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Thirty that differ, smooth as photographs are."""
    coarse = np.random.default_rng(2).integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for each in coarse]
    return np.stack(smooth)


def encoded_anew(picture: np.ndarray) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=75)
    return np.asarray(Image.open(data))


def one_pixel_changed(picture: np.ndarray) -> np.ndarray:
    changed = picture.copy()
    changed[7, 9] ^= 0xFF
    return changed


def a_little_brighter(picture: np.ndarray) -> np.ndarray:
    return np.asarray((picture.astype(int) + 2).clip(0, 255), np.uint8)


def test_pictures_that_differ_all_count(pictures: np.ndarray) -> None:
    assert distinct(pictures) == list(range(len(pictures)))


@pytest.mark.parametrize("change", [np.copy, encoded_anew, one_pixel_changed, a_little_brighter])
def test_copies_do_not_count(pictures: np.ndarray, change: object) -> None:
    assert callable(change)
    copies = np.stack([change(picture) for picture in pictures])
    assert distinct(np.concatenate([pictures, copies])) == list(range(len(pictures)))


@pytest.mark.parametrize("side", [1, 8, 16, 17, 224])
def test_noise_differs_at_any_size(side: int) -> None:
    noise = np.random.default_rng(side).integers(0, 256, (12, side, side, 3), dtype=np.uint8)
    assert len(distinct(noise)) == 12


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([100], 10),  # one class
        ([99, 1], 12),
        ([50, 50], 100),  # the half of two classes
        ([60, 10, 10, 10, 10], 90),
        ([7, 1], 8),  # few count whatever they show
        ([1], 1),
    ],
)
def test_pictures_of_one_class_are_worth_no_more_than_the_others(counts: list[int], expected: int) -> None:
    assert worth(np.repeat(np.arange(len(counts)), counts)) == expected


@pytest.mark.parametrize(
    ("given", "classes", "labels", "words"),
    [
        (120, 10, 10, []),
        (120, 2, 2, []),
        (120, 5, 1000, []),
        (180, 10, 10, ["only 120 of the 180 calibration images differ"]),
        (120, 1, 2, ["into 1 of its 2 classes"]),
        (120, 1, 1, ["into 1 of its 2 classes"]),
        (180, 4, 1000, ["only 120 of the 180", "into 4 of its 1000 classes"]),
    ],
)
def test_what_is_doubtful_is_said(given: int, classes: int, labels: int, words: list[str]) -> None:
    decided = np.arange(120) % classes
    said = list(doubts(given, Reference(decided=decided, sure=np.ones(120, np.bool_)), labels))
    assert [word in line for word, line in zip(words, said, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(("sure", "said"), [(120, False), (100, False), (99, True), (0, True)])
def test_few_images_of_which_the_network_is_sure_are_doubtful(sure: int, said: bool) -> None:
    reference = Reference(decided=np.arange(120) % 10, sure=np.arange(120) < sure)
    assert [f"sure of {sure} calibration images" in line for line in doubts(120, reference, 10)] == [True] * said
