"""The pictures of a simulation, and the frames that its camera makes of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collab_sdk.errors import InvalidImage, InvalidRequest
from collabd.catalog.package.manifest import Picture
from collabd.simulation.pictures import TAKES, ShownPictures, SimulatedCamera, read_pictures

WANTED = Picture(height=16, width=16)


def write(folder: Path, images: list[np.ndarray]) -> Path:
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03}.png")
    return folder


def many(count: int) -> ShownPictures:
    pixels = np.random.default_rng(3).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return ShownPictures(pixels, ((16, 16),) * count)


def test_a_folder_and_a_zip_of_it_are_the_same_pictures(tmp_path: Path, tiny_images: list[np.ndarray]) -> None:
    (folder := tmp_path / "folder").mkdir()
    write(folder, tiny_images)
    (folder / "README.md").write_text("no picture\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    read, zipped = read_pictures(folder, WANTED), read_pictures(tmp_path / "all.zip", WANTED)
    assert np.array_equal(read.pixels, np.stack(tiny_images))
    assert read.sizes == ((16, 16),) * len(tiny_images)
    assert read.digest == zipped.digest


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no images"):
        read_pictures(tmp_path, WANTED)
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(InvalidRequest, match="neither a folder nor a zip"):
        read_pictures(tmp_path / "text.zip", WANTED)
    (tmp_path / "broken.png").write_text("text")
    with pytest.raises(InvalidImage, match=r"broken\.png"):
        read_pictures(tmp_path, WANTED)


def test_a_moving_camera_shows_each_picture_once_a_round() -> None:
    camera = SimulatedCamera(many(20), requests=40, parked=0.0, seed=0)
    for split in (0, 1):
        pictures, takes = np.divmod(camera.frames(split), TAKES)
        assert sorted(pictures[:20]) == list(range(20))
        assert (pictures[:20] == pictures[20:]).all()
        assert not takes.any()
    assert (camera.frames(0) != camera.frames(1)).any()


def test_a_parked_frame_is_the_one_before_with_noise() -> None:
    pictures = many(50)
    camera = SimulatedCamera(pictures, requests=2000, parked=0.9, seed=0)
    frames = camera.frames(0)
    stays = np.diff(frames // TAKES) == 0
    assert stays.mean() == pytest.approx(0.9, abs=0.03)
    # No two frames in a row are equal, and what differs is small.
    assert (np.diff(frames) != 0).all()
    at = int(stays.argmax())
    first, second = (pictures.frame(frame).astype(int) for frame in frames[at : at + 2])
    change = np.abs(first - second)
    assert 0 < change.max() <= 8
    assert change.mean() < 2


def test_all_splits_move_at_the_same_requests() -> None:
    camera = SimulatedCamera(many(50), requests=300, parked=0.5, seed=0)
    moves = [np.diff(camera.frames(split) // TAKES) != 0 for split in (0, 5)]
    assert (moves[0] == moves[1]).all()


def test_a_frame_is_always_the_same() -> None:
    assert np.array_equal(many(5).frame(3 * TAKES + 4), many(5).frame(3 * TAKES + 4))
