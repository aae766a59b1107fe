"""A path, its bytes, a Pillow image of it and its pixels: a network sees the same, whichever of them was given."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from collab_sdk.image import image_tensor
from collab_sdk.wire import InferRequest
from collabd.catalog.package.manifest import Picture
from collabd.device.job.image import CallImage
from tests.unit.imaging.conftest import photograph

SMALL = Picture(height=24, width=32)


def seen(given: Any) -> NDArray[np.int64]:
    """What a network sees of what an application gives."""
    photo = CallImage.from_request(InferRequest([image_tensor(given)]), SMALL)
    return np.asarray(photo.prepare(SMALL)[0], np.int64)


def file_of(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def sixteen_bits() -> Image.Image:
    return Image.fromarray(photograph(48, 64)[..., 0].astype(np.uint16) * 257)


PHOTOGRAPH = Image.fromarray(photograph(48, 64))
TRANSPARENT = PHOTOGRAPH.copy()
TRANSPARENT.putalpha(Image.linear_gradient("L").resize(TRANSPARENT.size))


@pytest.mark.parametrize(
    ("picture", "kind", "options"),
    [
        *((PHOTOGRAPH.convert(mode), "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB")),
        (TRANSPARENT, "PNG", {}),
        (TRANSPARENT.convert("LA"), "PNG", {}),
        (TRANSPARENT, "WEBP", {"lossless": True}),
        (PHOTOGRAPH.convert("P"), "PNG", {"transparency": bytes(range(256))}),
        (PHOTOGRAPH.convert("P"), "PNG", {"transparency": 3}),
        (PHOTOGRAPH.convert("L"), "PNG", {"transparency": 3}),
        (PHOTOGRAPH, "PNG", {"transparency": (1, 2, 3)}),
        (sixteen_bits(), "PNG", {}),
        (sixteen_bits(), "PPM", {}),
        (PHOTOGRAPH.convert("P"), "GIF", {}),
        (PHOTOGRAPH, "GIF", {"save_all": True, "append_images": [Image.new("RGB", PHOTOGRAPH.size, "red")]}),
        (PHOTOGRAPH, "PNG", {"save_all": True, "append_images": [Image.new("RGB", PHOTOGRAPH.size, "red")]}),
        (PHOTOGRAPH, "MPO", {"save_all": True, "append_images": [Image.new("RGB", PHOTOGRAPH.size, "red")]}),
        *((PHOTOGRAPH.convert(mode), "JPEG", {}) for mode in ("L", "RGB", "CMYK", "YCbCr")),
        (PHOTOGRAPH, "BMP", {}),
    ],
)
def test_a_file_and_a_pillow_image_of_it_look_the_same(
    picture: Image.Image, kind: str, options: dict[str, Any]
) -> None:
    data = file_of(picture, kind, **options)
    np.testing.assert_array_equal(seen(Image.open(io.BytesIO(data))), seen(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(PHOTOGRAPH, "PNG", exif=exif)
    opened = Image.open(io.BytesIO(data))
    for given in (opened, ImageOps.exif_transpose(opened), opened.convert("RGBA"), opened.copy()):
        # One turns and then shrinks, the other shrinks and then turns: that rounds differently.
        assert np.abs(seen(given) - seen(data)).max() <= 2


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L", "I;16N"])
def test_sixteen_bits_are_scaled(mode: str) -> None:
    grey = photograph(24, 32)[..., 0]
    picture = Image.new(mode, (32, 24))
    for y, x in np.ndindex(grey.shape):
        picture.putpixel((x, y), int(grey[y, x]) * 257)
    np.testing.assert_array_equal(seen(picture), np.repeat(grey[..., np.newaxis], 3, axis=2))


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "CMYK", "RGBX", "RGBa", "PA", "LAB"])
def test_other_modes_are_converted(mode: str) -> None:
    picture = PHOTOGRAPH.convert(mode)
    np.testing.assert_array_equal(seen(picture), seen(picture.convert("RGB")))


def test_a_drafted_a_resized_and_a_sought_image_are_what_they_became() -> None:
    data = file_of(PHOTOGRAPH.resize((256, 192)), "JPEG", quality=95)
    drafted = Image.open(io.BytesIO(data))
    drafted.draft("L", (64, 48))
    assert np.abs(seen(drafted) - seen(np.asarray(drafted.convert("RGB")))).max() == 0
    frames = Image.open(
        io.BytesIO(file_of(PHOTOGRAPH, "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48), "red")]))
    )
    frames.seek(1)
    assert np.abs(seen(frames) - (255, 0, 0)).max() <= 2


def test_a_photograph_and_a_pillow_image_of_it_look_nearly_the_same() -> None:
    data = file_of(PHOTOGRAPH.resize((1_280, 960), Image.Resampling.BICUBIC), "JPEG", quality=90)
    assert np.abs(seen(Image.open(io.BytesIO(data))) - seen(data)).max() <= 4
