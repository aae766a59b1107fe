from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from collabd.catalog.package.manifest import Picture, Rule
from collabd.tasks.geometry import UNSEEN, mask_to_picture, placement_of, to_picture

RULES: tuple[Rule, ...] = ("stretch", "crop", "letterbox", "letterbox_top_left")


def ruled(height: int, width: int, rule: Rule, resize_shorter: int | None = None) -> Picture:
    return Picture(height=height, width=width, rule=rule, resize_shorter=resize_shorter)


_side = st.integers(1, 3000)
_input_side = st.integers(1, 700)


@st.composite
def rules(draw: st.DrawFn) -> Picture:
    height, width = draw(_input_side), draw(_input_side)
    rule = draw(st.sampled_from(RULES))
    shorter = max(height, width) + draw(st.integers(0, 100)) if rule == "crop" else None
    return ruled(height, width, rule, shorter)


@given(rules(), _side, _side)
def test_a_placement_lies_within_the_picture_and_within_the_input(rule: Picture, width: int, height: int) -> None:
    seen, filled = placement_of(rule, width, height)
    assert 0 <= seen[0] < seen[2] <= width + 1e-9
    assert 0 <= seen[1] < seen[3] <= height + 1e-9
    assert 0 <= filled[0] < filled[2] <= rule.width
    assert 0 <= filled[1] < filled[3] <= rule.height


@given(rules(), _side, _side)
def test_what_fills_the_input_is_what_was_seen(rule: Picture, width: int, height: int) -> None:
    seen, filled = placement_of(rule, width, height)
    found = to_picture(np.array([filled], np.float32), rule, width=width, height=height)
    np.testing.assert_allclose(found[0], seen, rtol=1e-5, atol=1e-3)


@given(rules(), _side, _side)
def test_boxes_never_leave_the_picture(rule: Picture, width: int, height: int) -> None:
    wild = np.array([[-1e6, -1e6, 1e6, 1e6], [0, 0, rule.width, rule.height], [-np.inf, 5, np.inf, 6]], np.float32)
    found = to_picture(wild, rule, width=width, height=height)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert (found <= [width, height, width, height]).all()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # 640 x 480 to 320 x 320: 320 x 240, so 40 rows of pad above and below.
        (ruled(320, 320, "letterbox"), ((0, 0, 640, 480), (0, 40, 320, 280))),
        (ruled(320, 320, "letterbox_top_left"), ((0, 0, 640, 480), (0, 0, 320, 240))),
        (ruled(320, 320, "stretch"), ((0, 0, 640, 480), (0, 0, 320, 320))),
        # The shorter side to 240 leaves 320 x 240; the middle 200 of it begin at 60 and 20, in pixels of half the size.
        (ruled(200, 200, "crop", 240), ((120, 40, 520, 440), (0, 0, 200, 200))),
        (ruled(240, 240, "crop"), ((80, 0, 560, 480), (0, 0, 240, 240))),
    ],
)
def test_placements_of_a_camera_picture(rule: Picture, expected: tuple[tuple[float, ...], tuple[int, ...]]) -> None:
    assert placement_of(rule, 640, 480) == expected


def test_the_longest_picture_still_has_a_pixel() -> None:
    assert placement_of(ruled(320, 320, "letterbox"), 1, 60_000).filled == (159, 0, 160, 320)


def test_a_box_in_the_pad_becomes_empty() -> None:
    rule = ruled(320, 320, "letterbox_top_left")
    x1, y1, x2, y2 = to_picture(np.array([[10, 250, 60, 300]], np.float32), rule, width=640, height=480)[0]
    assert (x1, x2) == (20, 120)
    assert y1 == y2 == 480


def prepared(picture: npt.NDArray[np.uint8], rule: Picture) -> npt.NDArray[np.uint8]:
    """The network's input with hard edges, made with Pillow."""
    height, width = picture.shape
    seen, filled = placement_of(rule, width, height)
    size = (filled[2] - filled[0], filled[3] - filled[1])
    part = Image.fromarray(picture).resize(size, Image.Resampling.NEAREST, seen)
    whole = Image.new("L", (rule.width, rule.height), 7)
    whole.paste(part, filled[:2])
    return np.asarray(whole)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("width", "height"), [(640, 480), (333, 777), (64, 64), (1000, 90)])
def test_a_rectangle_comes_back_where_it_was(rule: Rule, width: int, height: int) -> None:
    wanted = ruled(192, 256, rule, 288 if rule == "crop" else None)
    seen = placement_of(wanted, width, height).seen
    x1, x2 = (round(seen[0] + (seen[2] - seen[0]) * part) for part in (0.25, 0.75))
    y1, y2 = (round(seen[1] + (seen[3] - seen[1]) * part) for part in (0.25, 0.75))
    picture = np.zeros((height, width), np.uint8)
    picture[y1:y2, x1:x2] = 1
    rows, columns = np.nonzero(prepared(picture, wanted) == 1)
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    # A pixel of the input may be several of the picture.
    pixel = max(1.0, (seen[2] - seen[0]) / 256, (seen[3] - seen[1]) / 24)
    np.testing.assert_allclose(to_picture(box, wanted, width=width, height=height)[0], [x1, y1, x2, y2], atol=pixel)


@pytest.mark.parametrize("rule", RULES)
def test_a_mask_of_the_input_comes_back_as_the_picture(rule: Rule) -> None:
    wanted = ruled(192, 256, rule, 256 if rule == "crop" else None)
    rng = np.random.default_rng(0)
    # Patches larger than what nearest neighbours may be off.
    picture = rng.integers(0, 5, (12, 16), dtype=np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    height, width = picture.shape
    found = mask_to_picture(prepared(picture, wanted), wanted, width=width, height=height)
    visible = found != UNSEEN
    assert found.shape == picture.shape
    assert (found[visible] == picture[visible]).mean() > 0.95
    assert visible.all() == (rule != "crop")


@given(rules(), _side, _side, st.integers(1, 9), st.integers(1, 9))
def test_a_mask_of_any_size_covers_what_was_seen(
    rule: Picture, width: int, height: int, rows: int, columns: int
) -> None:
    found = mask_to_picture(np.full((rows, columns), 3, np.uint8), rule, width=width, height=height)
    assert found.shape == (height, width)
    assert set(np.unique(found)) <= {3, UNSEEN}
    if rule.rule != "crop":
        assert (found == 3).all()


def test_the_pad_shows_in_no_mask() -> None:
    rule = ruled(100, 100, "letterbox")
    class_map = np.full((50, 50), 9, np.uint8)
    class_map[:, 10:40] = 1  # a picture of 60 x 100
    assert (mask_to_picture(class_map, rule, width=60, height=100) == 1).all()
