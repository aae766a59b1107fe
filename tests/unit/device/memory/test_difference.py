"""By how much pictures differ: noise hardly counts, and whatever can be seen does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.device.memory.difference import blocks_of, difference


def grey(height: int, width: int, level: int = 100) -> np.ndarray:
    return np.full((1, height, width, 3), level, np.uint8)


def differ(one: np.ndarray, other: np.ndarray) -> float:
    return difference(blocks_of(one), blocks_of(other))


def test_the_largest_change_of_a_block_counts() -> None:
    before, now = grey(32, 48), grey(32, 48)
    now[0, 4:8, 8:12, 1] += 3
    now[0, 20:24, 40:44, 2] -= 5
    assert differ(before, now) == differ(now, before) == 5
    # One pixel of sixteen.
    now = grey(32, 48)
    now[0, 0, 0, 0] = 255
    assert differ(before, now) == 155 / 16


def test_noise_of_a_sensor_is_small() -> None:
    rng = np.random.default_rng(3)
    scene = rng.integers(20, 236, (1, 224, 224, 3))
    one, other = (np.asarray(scene + rng.normal(0, 1, scene.shape).round(), np.uint8) for _ in range(2))
    assert differ(one, other) < 2


@given(height=st.integers(1, 11), width=st.integers(1, 11), at=st.data())
def test_every_pixel_belongs_to_a_block(height: int, width: int, at: st.DataObject) -> None:
    before, now = grey(height, width), grey(height, width)
    now[0, at.draw(st.integers(0, height - 1)), at.draw(st.integers(0, width - 1)), at.draw(st.integers(0, 2))] = 255
    assert differ(before, now) >= 155 / 16


@pytest.mark.parametrize(("one", "other"), [(0, 255), (255, 0)])
def test_nothing_overflows(one: int, other: int) -> None:
    assert differ(grey(8, 8, one), grey(8, 8, other)) == 255


def test_pictures_of_other_sizes_have_nothing_in_common() -> None:
    assert differ(grey(8, 8), grey(8, 12)) == 255
