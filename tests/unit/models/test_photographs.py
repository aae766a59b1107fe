"""Photographs, how they are divided, and the crops of them that calibrate codecs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.photographs import PHOTOGRAPHS, crops, photograph, to_calibrate, to_check


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs 0.png to 6.png: views of the cat, some of them smaller."""
    folder, cat = tmp_path_factory.mktemp("photographs"), photograph("chelsea")
    for index in range(7):
        Image.fromarray(cat[index:, : 451 - 20 * index]).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_rgb_bytes(name: str) -> None:
    pixels = photograph(name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)


def test_every_sixth_photograph_is_held_apart(folder: Path) -> None:
    assert [path.name for path in to_check(folder)] == ["0.png", "6.png"]
    assert [path.name for path in to_calibrate(folder)] == ["1.png", "2.png", "3.png", "4.png", "5.png"]


def test_a_folder_without_photographs_says_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"models/README\.md"):
        to_calibrate(tmp_path)


def test_crops_are_varied_squares_of_several_scales_and_the_same_every_time(folder: Path) -> None:
    paths = to_calibrate(folder)
    some = crops(paths, each=8)
    assert len(some) == 40
    assert all(crop.shape[0] == crop.shape[1] and crop.shape[2] == 3 for crop in some)
    assert len({crop.tobytes() for crop in some}) == 40
    sides = [crop.shape[0] for crop in some]
    assert sides[::8] == [299, 298, 297, 296, 295]  # the shorter sides of the photographs
    assert 256 <= min(sides) < 270
    assert all(np.array_equal(one, two) for one, two in zip(some, crops(paths, each=8), strict=True))
    assert not np.array_equal(some[0], crops(paths, each=1, seed=1)[0])


def test_a_crop_is_a_window_or_a_mirrored_window_of_its_photograph(folder: Path) -> None:
    picture = photograph("chelsea")
    seen = set()
    for crop in crops([folder / "0.png"], each=6):
        side = crop.shape[0]
        windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side, 3))[:, :, 0]
        for mirrored, wanted in enumerate((crop, crop[:, ::-1])):
            corners = np.argwhere((windows[..., 0, 0, :] == wanted[0, 0]).all(-1))
            seen |= {mirrored for top, left in corners if np.array_equal(windows[top, left], wanted)}
    assert seen == {0, 1}


def test_a_photograph_that_is_too_small_is_taken_whole(tmp_path: Path) -> None:
    Image.fromarray(photograph("chelsea")[:200, :200]).save(tmp_path / "small.png")
    assert {crop.shape for crop in crops([tmp_path / "small.png"], each=3)} == {(200, 200, 3)}
