"""How long images take to prepare."""

from __future__ import annotations

import pytest

from collabd.sensing.estimates.image_times import ImageTimes

USUAL, PHOTO = 0.05, 12.0


def profiled(seconds: float = 0.004) -> ImageTimes:
    it = ImageTimes()
    it.note_profile(USUAL, seconds)
    return it


def test_images_of_every_size_are_learned() -> None:
    it = profiled()
    for call in range(10):
        it.learn(PHOTO, 0.5, call / 10)
    assert it.at(PHOTO, 1.0) == pytest.approx(0.5, rel=0.1)
    assert it.at(USUAL, 1.0) < 0.05


def test_what_was_slow_for_a_while_is_forgotten() -> None:
    it = profiled()
    usual_s = it.at(USUAL, 0.0)
    for call in range(100):
        it.learn(USUAL, 0.1, call / 10)
    assert it.at(USUAL, 10.0) == pytest.approx(0.1, rel=0.1)
    assert it.at(USUAL, 600.0) == pytest.approx(usual_s, rel=0.01)


def test_what_was_quicker_than_profiled_stays() -> None:
    it = profiled(0.1)
    for call in range(100):
        it.learn(USUAL, 0.004, call / 10)
    assert it.at(USUAL, 600.0) == pytest.approx(0.004, rel=0.1)


def test_where_nothing_can_be_guessed_the_first_image_tells() -> None:
    it = ImageTimes(first_s=0.0, first_s_per_megapixel=0.0)
    assert it.at(PHOTO, 0.0) == 0.0
    it.learn(PHOTO, 0.02, 1.0)
    assert it.at(PHOTO, 1.0) == pytest.approx(0.02, rel=0.1)
    it.learn(USUAL, 0.001, 2.0)
    assert it.at(PHOTO, 2.0) == pytest.approx(0.02, rel=0.1)
    assert it.at(USUAL, 2.0) < 0.002
