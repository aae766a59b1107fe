"""From what applications have as an image to the tensor that travels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from collab_sdk import InvalidImage, InvalidTensor, RequestTooLarge
from collab_sdk.channels import Channels
from collab_sdk.image import image_tensor


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.fixture
def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_file_travels_as_it_is(tmp_path: Path, png: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png)
    for given in (path, str(path), png, bytearray(png), memoryview(png)):
        tensor = image_tensor(given)
        assert (tensor.name, tensor.datatype, tensor.shape) == ("image", "BYTES", (1,))
        assert tensor.to_bytes_list() == [png]


def test_an_array_and_a_pillow_image_travel_as_pixels(pixels: np.ndarray) -> None:
    rgba = PillowImage.fromarray(np.dstack([pixels, np.full((5, 4), 9, np.uint8)]))
    for given in (pixels, PillowImage.fromarray(pixels), rgba, np.asfortranarray(pixels)):
        tensor = image_tensor(given)
        assert (tensor.name, tensor.datatype, tensor.shape) == ("image", "UINT8", (5, 4, 3))
        np.testing.assert_array_equal(tensor.to_array(), pixels)


@pytest.mark.parametrize(
    ("channels", "shape"),
    [
        ("bgr", (6, 4, 3)),
        ("rgbx", (6, 4, 4)),
        ("bgrx", (6, 4, 4)),
        ("grey", (6, 4)),
        ("grey", (6, 4, 1)),
        ("yuv420", (6, 4)),
    ],
)
def test_a_frame_travels_as_the_camera_gave_it(channels: Channels, shape: tuple[int, ...]) -> None:
    frame = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    tensor = image_tensor(frame, channels)
    assert (tensor.shape, tensor.parameters) == (shape, {"channels": channels})
    np.testing.assert_array_equal(tensor.to_array(), frame)
    assert np.shares_memory(np.frombuffer(tensor.data, np.uint8), frame)
    mirrored = image_tensor(frame[:, ::-1], channels)
    np.testing.assert_array_equal(mirrored.to_array(), frame[:, ::-1])


@pytest.mark.parametrize(
    ("channels", "shape", "says"),
    [
        ("bgr", (6, 4, 4), r'expected \[height, width, 3\] with channels="bgr".*"rgbx".*"bgrx"'),
        ("bgrx", (6, 4, 3), r'expected \[height, width, 4\] with channels="bgrx".*"rgb", or "bgr"'),
        ("rgbx", (6, 4), '"grey"'),
        ("grey", (6, 4, 3), r'expected \[height, width\] or .*"rgb", or "bgr"'),
        ("yuv420", (6, 4, 3), r"expected \[height \* 3 / 2, width\], both even"),
        ("yuv420", (7, 4), "without padding"),
        ("yuv420", (6, 5), "both even"),
        ("yuv420", (0, 4), "no pixels"),
    ],
)
def test_a_frame_of_another_shape_says_which_is_needed(channels: Channels, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(InvalidTensor, match=says):
        image_tensor(np.zeros(shape, np.uint8), channels)


@pytest.mark.parametrize("channels", ["RGB", "rgba", "", None, 3])
def test_channels_that_there_are_not(channels: Any, png: bytes) -> None:
    for image in (np.zeros((6, 4, 3), np.uint8), png):
        with pytest.raises(InvalidTensor, match="one of rgb, bgr, rgbx, bgrx, grey, yuv420"):
            image_tensor(image, channels)


def test_files_and_pillow_images_say_themselves_what_they_hold(pixels: np.ndarray, png: bytes) -> None:
    for image in (png, PillowImage.fromarray(pixels)):
        assert image_tensor(image, "bgrx") == image_tensor(image)


def test_a_large_pillow_image_is_shrunk_to_what_a_request_may_carry() -> None:
    tensor = image_tensor(PillowImage.new("RGB", (9_000, 6_000), "red"))
    assert tensor.shape == (3_000, 4_500, 3)
    assert tensor.to_array()[1_500, 2_250].tolist() == [255, 0, 0]


def test_a_pillow_image_of_floats_is_refused() -> None:
    with pytest.raises(InvalidImage, match="floats"):
        image_tensor(PillowImage.new("F", (4, 5)))


@pytest.mark.parametrize("value", [-1, 65_536, 2**31 - 1])
def test_a_pillow_image_of_more_than_sixteen_bits_is_refused(value: int) -> None:
    with pytest.raises(InvalidImage, match=rf"values from {value} to {value}.*scale it"):
        image_tensor(PillowImage.new("I", (4, 5), value))


def test_the_callers_pillow_image_stays_as_it_is(pixels: np.ndarray) -> None:
    palette = PillowImage.fromarray(pixels).convert("P")
    palette.info["transparency"] = bytes(256)
    palette.getexif()[0x0112] = 6
    assert image_tensor(palette).shape == (4, 5, 3)
    assert (palette.mode, palette.size, palette.info["transparency"]) == ("P", (4, 5), bytes(256))
    assert palette.getexif()[0x0112] == 6


def test_a_grey_pillow_image_becomes_rgb(pixels: np.ndarray) -> None:
    got = image_tensor(PillowImage.fromarray(pixels[..., 0])).to_array()

    np.testing.assert_array_equal(got, np.repeat(pixels[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("shape", "dtype", "says"),
    [
        ((5, 4, 3), np.float32, r"dtype float32, expected uint8: scale it.*\* 255"),
        ((5, 4, 3), np.uint16, r"dtype uint16, expected uint8: scale it.*>> 8"),
        ((5, 4, 3), np.int64, r"dtype int64, expected uint8: .*astype"),
        ((5, 4, 3), bool, r"dtype bool, expected uint8: .*\* 255"),
        ((5, 4, 3), object, r"dtype object, expected uint8"),
        ((5, 4), np.uint8, r"shape \[5, 4\].*\"grey\""),
        ((5, 4, 1), np.uint8, r"shape \[5, 4, 1\].*\"grey\""),
        ((3, 5, 4), np.uint8, "channels come first"),
        ((5, 4, 4), np.uint8, r"\"rgbx\" if red comes first.*XBGR8888.*\"bgrx\" if blue comes first.*OpenCV.*XRGB8888"),
        ((1, 5, 4, 3), np.uint8, "one image in each call"),
        ((5, 4, 2), np.uint8, r"expected \[height, width, 3\] with channels=\"rgb\"$"),
        ((60,), np.uint8, r"shape \[60\]"),
        ((), np.uint8, r"shape \[\]"),
        ((0, 4, 3), np.uint8, "no pixels"),
    ],
)
def test_another_array_is_refused_with_advice(shape: tuple[int, ...], dtype: Any, says: str) -> None:
    with pytest.raises(InvalidTensor, match=says):
        image_tensor(np.zeros(shape, dtype))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidImage, match=r"cannot read the image '.*missing.jpg': No such file"):
        image_tensor(tmp_path / "missing.jpg")
    with pytest.raises(InvalidImage, match="Is a directory"):
        image_tensor(tmp_path)
    with pytest.raises(InvalidImage, match="null"):
        image_tensor("a\0b")
    with pytest.raises(InvalidImage, match=r"empty' is empty"):
        image_tensor(tmp_path / "empty")
    with pytest.raises(InvalidImage, match="the image is empty"):
        image_tensor(b"")


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(RequestTooLarge, match="more than 256 MiB: scale the picture down"):
        image_tensor("/dev/zero")


def test_a_pillow_image_of_a_truncated_file_is_refused(png: bytes) -> None:
    with (
        PillowImage.open(io.BytesIO(png[: len(png) // 2])) as broken,
        pytest.raises(InvalidImage, match=r"cannot decode.*give the path or the bytes"),
    ):
        image_tensor(broken)


@pytest.mark.parametrize("given", [None, 3, [[1]], object()])
def test_anything_else_says_what_an_image_is(given: Any) -> None:
    with pytest.raises(InvalidImage, match="give a path"):
        image_tensor(given)
