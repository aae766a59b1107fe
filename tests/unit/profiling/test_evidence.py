"""Copies of a picture, and pictures of one class, promise little fidelity."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from collabd.profiling.evidence import distinct, doubts, worth

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
    assert np.array_equal(distinct(pictures), pictures)


@pytest.mark.parametrize("change", [np.copy, encoded_anew, one_pixel_changed, a_little_brighter])
def test_copies_do_not_count(pictures: np.ndarray, change: object) -> None:
    assert callable(change)
    copies = np.stack([change(picture) for picture in pictures])
    assert np.array_equal(distinct(np.concatenate([pictures, copies])), pictures)


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
        (30, 10, 10, []),
        (30, 2, 2, []),
        (30, 5, 1000, []),
        (60, 10, 10, ["only 30 of the 60 calibration images differ"]),
        (30, 1, 2, ["into 1 of its 2 classes"]),
        (30, 1, 1, ["into 1 of its 2 classes"]),
        (60, 4, 1000, ["only 30 of the 60", "into 4 of its 1000 classes"]),
    ],
)
def test_what_is_doubtful_is_said(given: int, classes: int, labels: int, words: list[str]) -> None:
    said = list(doubts(given, np.arange(30) % classes, labels))
    assert [word in line for word, line in zip(words, said, strict=True)] == [True] * len(words)
