"""Pictures of answers: what is drawn, where, and on what."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collab_sdk import InvalidImage, InvalidTensor, Result
from collab_sdk.answers import Detections, Segmentation
from collab_sdk.drawing import colour_of
from collab_sdk.mock import mock_detections, mock_mask, mock_result
from tests.patience import PROGRAM_S

GREY = np.full((300, 400, 3), 90, np.uint8)


def array(picture: Image.Image) -> NDArray[np.uint8]:
    assert picture.mode == "RGB"
    return np.asarray(picture)


def changed(drawn: NDArray[np.uint8], on: NDArray[np.uint8] = GREY) -> NDArray[np.bool_]:
    differs: NDArray[np.bool_] = (drawn != on).any(axis=2)
    return differs


def boxed(*objects: tuple[str, float, tuple[float, float, float, float]], size: tuple[int, int] = (400, 300)) -> Result:
    return mock_detections(objects, size, labels=["cat", "dog"])


def test_a_box_has_the_colour_of_its_class_along_its_edges() -> None:
    drawn = array(boxed(("dog", 0.5, (100, 150, 300, 250))).draw(GREY))
    colour = colour_of(1, None)
    for row, column in ((150, 200), (249, 200), (200, 100), (200, 299)):
        assert tuple(drawn[row, column]) == colour
    differs = changed(drawn)
    assert not differs[155:245, 105:295].any()
    assert not differs[250:].any()
    assert not differs[:, 300:].any()
    assert differs[130:150, 100:180].any(), "its name stands above it"
    assert (GREY == 90).all()


def test_a_name_stays_in_the_picture_and_the_surest_lies_on_top() -> None:
    corner = array(boxed(("dog", 0.5, (380, 0, 400, 300))).draw(GREY))
    colour = np.array(colour_of(1, None))
    assert (corner[:10, 300:370] == colour).all(axis=2).any(), "its name is to the left of the box, and below the edge"
    same = (50, 100, 300, 250)
    drawn = array(boxed(("cat", 0.9, same), ("dog", 0.5, same)).draw(GREY))
    assert tuple(drawn[200, 50]) == colour_of(0, None)


@pytest.mark.parametrize("side", [32, 480, 3000])
def test_lines_and_letters_grow_with_the_picture(side: int) -> None:
    picture = np.zeros((side, side, 3), np.uint8)
    box = (side * 0.25, side * 0.5, side * 0.75, side * 0.9)
    drawn = array(boxed(("cat", 0.5, box), size=(side, side)).draw(picture))
    times = len(drawn) // side
    assert len(drawn) == side * times >= 240
    inked = changed(drawn, np.zeros_like(drawn))
    line = int(inked[round(side * 0.7) * times].sum()) // 2
    assert line >= 2
    assert 0.003 <= line / len(drawn) <= 0.01
    name = inked[: round(box[1]) * times].any(axis=1)
    assert 0.03 <= name.sum() / len(drawn) <= 0.1


@pytest.mark.parametrize(("width", "times"), [(20_000, 1), (1000, 4), (100, 40), (10, 240)])
def test_a_picture_of_one_row_does_not_become_huge(width: int, times: int) -> None:
    drawn = boxed(("cat", 0.9, (0, 0, width, 1)), size=(width, 1)).draw(np.zeros((1, width, 3), np.uint8))
    assert drawn.size == (width * times, times)


def test_a_picture_that_pillow_does_not_open_is_refused_in_words() -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    with pytest.raises(InvalidImage, match=r"cannot read the image to draw on: .* \(200000000 pixels\) exceeds"):
        boxed().draw(file.getvalue())


def test_the_colour_of_a_class_is_always_the_same_and_that_of_the_palette_goes_first() -> None:
    colours = [colour_of(number, None) for number in range(80)]
    assert len(set(colours)) == 80
    assert [colour_of(number, None) for number in range(80)] == colours
    assert colour_of(0, [(1, 2, 3)]) == (1, 2, 3)
    assert colour_of(1, [(1, 2, 3)]) == colours[1]


def test_a_mask_covers_its_classes_and_not_the_background() -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:200, 100:200], mask[200:, 200:] = 1, 2
    result = mock_mask(mask, ["background", "road", "car"])
    assert isinstance(result.answer, Segmentation)
    palette = ((0, 0, 0), (250, 0, 0), (0, 250, 0))
    drawn = array(replace(result, answer=replace(result.answer, palette=palette)).draw(GREY))
    differs = changed(drawn)
    np.testing.assert_array_equal(differs[100:], mask[100:] > 0)
    red, green = drawn[150, 150], drawn[250, 300]
    assert red[0] > 90 > red[1] > 0, "the picture shines through"
    assert green[1] > 90 > green[0] > 0
    assert differs[:20, :60].any(), "the names are in the corner"


def test_a_mask_of_one_class() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[150:, :200] = True
    differs = changed(array(mock_mask(mask, ["person"]).draw(GREY)))
    np.testing.assert_array_equal(differs[100:], mask[100:])


def test_a_label_is_in_the_corner() -> None:
    differs = changed(array(mock_result({"cat": 0.5, "dog": 0.25}).draw(GREY)))
    assert differs[5:10, 5:40].any()
    assert not differs[50:].any()
    assert not differs[:, 200:].any()


def coloured(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth, so that it is the same in any encoding."""
    down, right = np.mgrid[:height, :width]
    return np.stack([down % 256, right % 256, (down + right) // 4], axis=2).astype(np.uint8)


def test_on_a_file_its_bytes_and_a_pillow_image(tmp_path: Path) -> None:
    scene, label = coloured(300, 400), mock_result({"x": 1.0})
    picture = Image.fromarray(scene)
    picture.save(tmp_path / "scene.png")
    data = (tmp_path / "scene.png").read_bytes()
    expected = array(label.draw(scene))
    np.testing.assert_array_equal(expected[100:], scene[100:])
    for image in (
        tmp_path / "scene.png",
        str(tmp_path / "scene.png"),
        data,
        bytearray(data),
        memoryview(data),
        picture,
    ):
        np.testing.assert_array_equal(array(label.draw(image)), expected)
    assert np.asarray(picture)[0, 0].tolist() == scene[0, 0].tolist(), "the caller's picture is as it was"


def test_arrays_of_every_camera() -> None:
    scene, label = coloured(300, 400), mock_result({"x": 1.0})
    fourth = np.full((300, 400, 1), 7, np.uint8)
    expected = array(label.draw(scene))
    ways = {
        "bgr": scene[:, :, ::-1],
        "rgbx": np.dstack([scene, fourth]),
        "bgrx": np.dstack([scene[:, :, ::-1], fourth]),
    }
    for channels, pixels in ways.items():
        np.testing.assert_array_equal(array(label.draw(pixels, channels)), expected)
    grey = array(label.draw(scene[:, :, 0], "grey"))[100:]
    np.testing.assert_array_equal(grey, np.repeat(scene[100:, :, :1], 3, axis=2))
    # A red picture, by the formula of JPEG.
    planes = np.concatenate([np.full(300 * 400, 76), np.full(300 * 100, 85), np.full(300 * 100, 255)]).astype(np.uint8)
    red = array(label.draw(planes.reshape(450, 400), "yuv420"))[100:]
    assert np.abs(red.astype(int) - [254, 0, 0]).max() <= 3
    with pytest.raises(InvalidTensor, match='say channels="rgbx"'):
        label.draw(ways["rgbx"])


def test_a_picture_that_lies_on_its_side_is_turned() -> None:
    picture, file = Image.fromarray(coloured(300, 400)), io.BytesIO()
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(file, "PNG", exif=exif)
    drawn = mock_detections([("cat", 0.5, (10, 100, 200, 300))], (300, 400)).draw(file.getvalue())
    assert drawn.size == (300, 400)
    np.testing.assert_array_equal(array(drawn)[350, 150], coloured(300, 400)[300 - 1 - 150, 350])


def test_another_picture_than_that_of_the_call_is_refused() -> None:
    with pytest.raises(InvalidImage, match="the image has 400x300 pixels, but the answer is about one of 640x480"):
        boxed(size=(640, 480)).draw(GREY)
    for image in (b"no picture", "/nowhere/cat.jpg"):
        with pytest.raises(InvalidImage, match="cannot read the image to draw on"):
            boxed().draw(image)
    with pytest.raises(InvalidImage, match="only a result of a stream has its image"):
        boxed().draw()


def test_without_pillow_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "import numpy as np\n"
        "from collab_sdk import MissingDependency\n"
        "from collab_sdk.mock import mock_result\n"
        "try: mock_result({'x': 1.0}).draw(np.zeros((9, 9, 3), np.uint8))\n"
        "except MissingDependency as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PROGRAM_S)
    assert ran.stdout == "drawing needs Pillow: pip install Pillow (on Debian: sudo apt install python3-pil)\n"


def test_detections_that_were_picked_are_drawn_alone() -> None:
    result = boxed(("cat", 0.9, (10, 50, 100, 100)), ("dog", 0.5, (200, 150, 300, 250)))
    found = result.detections
    assert isinstance(found, Detections)
    drawn = replace(result, answer=found[found.confidence > 0.6]).draw(GREY)
    assert not changed(array(drawn))[140:].any()
