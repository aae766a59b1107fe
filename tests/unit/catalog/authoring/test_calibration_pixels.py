"""The images that calibrate a package."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.package.manifest import Preprocessing
from collabd.codec import decode, encode

SIDE = 32
WHOLE = Preprocessing(height=SIDE, width=SIDE)
CROPPED = Preprocessing(height=SIDE, width=SIDE, resize_shorter=2 * SIDE)


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
def test_a_jpeg_that_is_not_resized_loses_by_another_jpeg_what_a_frame_loses(wanted: Preprocessing, side: int) -> None:
    file = stored(picture(side), "JPEG")
    frame = np.asarray(Image.open(io.BytesIO(file)))
    on_grid = calibration_pixels([frame], wanted)
    moved = calibration_pixels([file], wanted)
    assert loss(moved) > 1.5 * loss(on_grid)
    np.testing.assert_array_equal(moved[:, 3:, 5:], on_grid[:, :-3, :-5])


@pytest.mark.parametrize("file", [stored(picture(), "PNG"), stored(picture(2 * SIDE), "JPEG")], ids=["png", "resized"])
def test_what_has_no_grid_is_taken_as_it_is(file: bytes) -> None:
    frame = np.asarray(Image.open(io.BytesIO(file)))
    np.testing.assert_allclose(
        calibration_pixels([file], WHOLE).astype(int), calibration_pixels([frame], WHOLE), atol=3
    )


def test_copies_are_left_out_and_without_images_there_are_some_made_by_rule() -> None:
    frame = np.asarray(picture())
    assert calibration_pixels([frame, frame], WHOLE).shape == (1, SIDE, SIDE, 3)
    assert len(calibration_pixels([], WHOLE)) > 1
