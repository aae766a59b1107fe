"""The images that calibrate a package."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.package.manifest import Picture
from collabd.codec import decode, encode

SIDE = 32
WHOLE = Picture(height=SIDE, width=SIDE)
CROPPED = Picture(height=SIDE, width=SIDE, rule="crop", resize_shorter=2 * SIDE)


def picture(side: int = SIDE) -> Image.Image:
    coarse = np.random.default_rng(5).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def stored(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=75)
    return out.getvalue()


def loss(pixels: np.ndarray) -> float:
    """What another JPEG at quality 75 changes, in levels a value."""
    encoded = encode(pixels, "jpeg75")
    back = decode(encoded.payload, encoded.parameters, dtype=pixels.dtype, shape=pixels.shape)
    return float(np.abs(back.astype(int) - pixels).mean())


@pytest.mark.parametrize(("wanted", "side"), [(WHOLE, SIDE), (CROPPED, 2 * SIDE)], ids=["whole", "cropped"])
def test_a_jpeg_that_is_not_resized_loses_by_another_jpeg_what_a_frame_loses(wanted: Picture, side: int) -> None:
    file = stored(picture(side), "JPEG")
    frame = np.asarray(Image.open(io.BytesIO(file)))
    on_grid = calibration_pixels([frame], wanted).pixels
    moved = calibration_pixels([file], wanted).pixels
    assert loss(moved) > 1.5 * loss(on_grid)
    np.testing.assert_array_equal(moved[:, 3:, 5:], on_grid[:, :-3, :-5])


@pytest.mark.parametrize("file", [stored(picture(), "PNG"), stored(picture(2 * SIDE), "JPEG")], ids=["png", "resized"])
def test_what_has_no_grid_is_taken_as_it_is(file: bytes) -> None:
    frame = np.asarray(Image.open(io.BytesIO(file)))
    ours, expected = (calibration_pixels([each], WHOLE).pixels for each in (file, frame))
    np.testing.assert_allclose(ours.astype(int), expected, atol=3)


def test_copies_are_left_out_and_without_images_there_are_some_made_by_rule() -> None:
    frame = np.asarray(picture())
    once = calibration_pixels([frame, frame], WHOLE)
    assert once.pixels.shape == (1, SIDE, SIDE, 3)
    assert once.given == 2
    by_rule = calibration_pixels([], WHOLE)
    assert len(by_rule.pixels) == len(by_rule.sizes) > 1
    assert by_rule.given == 0


def test_the_size_is_that_of_the_upright_picture_as_it_came() -> None:
    wide = picture(2 * SIDE).resize((3 * SIDE, SIDE))
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    out = io.BytesIO()
    wide.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "JPEG", exif=turned)
    found = calibration_pixels([np.asarray(wide), np.asarray(wide), out.getvalue()], WHOLE)
    assert found.sizes == ((3 * SIDE, SIDE), (SIDE, 3 * SIDE))
