"""Frames as cameras give them, in every order of colours."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.channels import Channels
from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.manifest import Picture
from collabd.imaging import MAX_SIDE, frame_size, prepare
from tests.unit.imaging.conftest import photograph

SMALL = Picture(height=24, width=32)
CROPPED = Picture(height=24, width=24, rule="crop", resize_shorter=28, interpolation="bicubic")
SAME = Picture(height=120, width=160)

every_size = pytest.mark.parametrize("spec", [SMALL, CROPPED, SAME], ids=["straight", "cropped", "of its size"])


def as_channels(rgb: NDArray[np.uint8], channels: Channels) -> NDArray[np.uint8]:
    """What a camera gives that sees `rgb`; the fourth byte is 0, as the X of some is."""
    nothing = np.zeros_like(rgb[..., :1])
    match channels:
        case "bgr":
            return rgb[..., ::-1].copy()
        case "rgbx":
            return np.concatenate([rgb, nothing], axis=2)
        case "bgrx":
            return np.concatenate([rgb[..., ::-1], nothing], axis=2)
        case "grey":
            return rgb[..., 0].copy()
        case "yuv420":
            return i420(rgb)
    return rgb


def i420(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601, full range: a quarter as many of both colours, each the mean of four."""
    y, u, v = (
        np.tensordot(rgb.astype(float), weights, axes=1) + offset
        for weights, offset in (
            ((0.299, 0.587, 0.114), 0),
            ((-0.168736, -0.331264, 0.5), 128),
            ((0.5, -0.418688, -0.081312), 128),
        )
    )
    height, width = y.shape
    halves = (plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for plane in (u, v))
    planes = np.concatenate([plane.reshape(-1) for plane in (y, *halves)])
    return planes.round().clip(0, 255).astype(np.uint8).reshape(height * 3 // 2, width)


@every_size
@pytest.mark.parametrize("channels", ["rgb", "bgr", "rgbx", "bgrx"])
def test_every_order_of_colours_gives_the_same(channels: Channels, spec: Picture) -> None:
    rgb = photograph(120, 160)
    given = as_channels(rgb, channels)
    before = given.copy()
    prepared = prepare(given, spec, channels)
    np.testing.assert_array_equal(prepared, prepare(rgb, spec))
    assert prepared.flags.c_contiguous
    np.testing.assert_array_equal(given, before)


@every_size
def test_grey_is_the_same_in_all_three(spec: Picture) -> None:
    grey = photograph(120, 160)[..., 0]
    expected = prepare(np.repeat(grey[..., np.newaxis], 3, axis=2), spec)
    for given in (grey, grey[..., np.newaxis], grey[np.newaxis]):
        np.testing.assert_array_equal(prepare(given, spec, Channels.GREY), expected)


@every_size
def test_the_planes_of_a_camera_give_nearly_its_colours(spec: Picture) -> None:
    rgb = np.asarray(Image.fromarray(photograph(60, 80)).resize((160, 120)))
    prepared = prepare(i420(rgb), spec, Channels.YUV420).astype(int)
    assert np.abs(prepared - prepare(rgb, spec)).mean() < 2.5


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 30, 200)])
def test_a_colour_of_full_range_is_kept(colour: tuple[int, int, int]) -> None:
    frame = i420(np.full((90, 120, 3), colour, np.uint8))  # its planes do not end with a row
    assert np.abs(prepare(frame, SMALL, Channels.YUV420).astype(int) - colour).max() <= 2


@pytest.mark.parametrize("channels", Channels)
def test_strides_do_not_matter(channels: Channels) -> None:
    frame = as_channels(photograph(120, 160), channels)
    padded = np.zeros((*frame.shape[:1], frame.shape[1] + 9, *frame.shape[2:]), np.uint8)
    padded[:, : frame.shape[1]] = frame
    for view in (padded[:, : frame.shape[1]], np.asfortranarray(frame), frame[::-1].copy()[::-1]):
        np.testing.assert_array_equal(prepare(view, SMALL, channels), prepare(frame, SMALL, channels))


@pytest.mark.parametrize("channels", Channels)
def test_a_batch_of_one_is_an_image(channels: Channels) -> None:
    frame = as_channels(photograph(120, 160), channels)
    assert frame_size(frame, channels) == (160, 120)
    np.testing.assert_array_equal(prepare(frame[np.newaxis], SMALL, channels), prepare(frame, SMALL, channels))


@pytest.mark.parametrize("channels", Channels)
def test_a_frame_of_too_many_pixels_is_refused(channels: Channels) -> None:
    depth = {"grey": (), "yuv420": ()}.get(channels, (4 if channels.endswith("x") else 3,))
    for rows, width in ((30_000, 30_000), (3, MAX_SIDE + 1)):
        with pytest.raises(InvalidTensor, match="scale it"):
            prepare(np.broadcast_to(np.uint8(0), (rows, width, *depth)), SMALL, channels)
