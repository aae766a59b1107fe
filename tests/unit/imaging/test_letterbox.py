"""Pictures that keep their shape, in an input of another shape."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.channels import Channels
from collabd.catalog.package.manifest import Picture, Rule
from collabd.imaging import OpenImage, prepare
from collabd.tasks.geometry import to_picture

PAD = 90


def spec(rule: Rule = "letterbox", height: int = 32, width: int = 48) -> Picture:
    return Picture(height=height, width=width, rule=rule, pad=PAD)


def with_a_square(height: int, width: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A black picture with a white box, left, top, right and bottom."""
    left, top, right, bottom = box
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    return image


def bright(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Where the white box is among the pixels."""
    rows, columns = np.nonzero(pixels[0, ..., 0] > 150)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("size", "rule", "filled"),
    [
        ((64, 64), "letterbox", (8, 0, 40, 32)),
        ((64, 64), "letterbox_top_left", (0, 0, 32, 32)),
        ((192, 64), "letterbox", (0, 8, 48, 24)),
        ((192, 64), "letterbox_top_left", (0, 0, 48, 16)),
        ((96, 64), "letterbox", (0, 0, 48, 32)),
        ((12, 8), "letterbox", (0, 0, 48, 32)),  # a small one grows
        ((1000, 1), "letterbox", (0, 15, 48, 16)),
    ],
)
def test_the_whole_picture_is_there_and_grey_around_it(
    size: tuple[int, int], rule: Rule, filled: tuple[int, int, int, int]
) -> None:
    width, height = size
    pixels = prepare(np.full((height, width, 3), 200, np.uint8), spec(rule))
    left, top, right, bottom = filled
    expected = np.full((1, 32, 48, 3), PAD, np.uint8)
    expected[0, top:bottom, left:right] = 200
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "letterbox_top_left", "crop"])
@pytest.mark.parametrize("kind", ["array", "png", "jpeg"])
def test_a_box_in_the_input_comes_back_to_where_it_is_in_the_picture(rule: Rule, kind: str) -> None:
    """What prepares pictures and what brings boxes back go by one rule."""
    wanted = (
        Picture(height=200, width=300, rule="crop", resize_shorter=320)
        if rule == "crop"
        else spec(rule, height=200, width=300)
    )
    box = (400, 330, 560, 480)
    image = with_a_square(900, 1001, box)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG" if kind == "jpeg" else "PNG")
    pixels = prepare(image if kind == "array" else file.getvalue(), wanted)
    seen = np.array([bright(pixels)], np.float32)
    back = to_picture(seen, wanted, width=1001, height=900)
    # A pixel of the input is some pixels of the picture.
    np.testing.assert_allclose(back[0], box, atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_before_it_is_placed(orientation: int) -> None:
    upright = with_a_square(40, 20, (2, 4, 10, 12))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(upright)
    if orientation in turns:
        stored = stored.transpose(Image.Transpose(turns[orientation]))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(file, "PNG", exif=exif)
    opened = OpenImage(file.getvalue())
    assert opened.upright_size == (20, 40)
    found = prepare(opened, spec("letterbox"))
    np.testing.assert_allclose(found.astype(int), prepare(upright, spec("letterbox")).astype(int), atol=12)
    assert opened.upright_size == (20, 40)


def test_a_camera_frame_of_planes_has_grey_edges_too() -> None:
    frame = np.full((96, 64), 128, np.uint8)  # 64 x 64 in YUV
    pixels = prepare(frame, spec("letterbox"), Channels.YUV420)
    assert (pixels[0, :, :8] == PAD).all()
    assert (pixels[0, :, 40:] == PAD).all()
    assert np.abs(pixels[0, :, 8:40].astype(int) - 128).max() <= 1


def test_the_size_of_a_file_is_known_without_decoding_it() -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "PNG")
    header = file.getvalue()[:60] + bytes(200)
    assert OpenImage(header).upright_size == (30, 20)
