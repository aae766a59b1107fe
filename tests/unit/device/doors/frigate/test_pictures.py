"""A tensor is a picture only if each of its values is exactly that of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from collab_sdk.errors import InvalidTensor
from collabd.device.doors.frigate.pictures import FLOATS, Scale, picture_in, pixels_of

ALL = np.arange(256, dtype=np.uint8)
# Height, width and channels, from which Frigate makes each of its layouts.
TURNED = {"nhwc": (0, 1, 2, 3), "nchw": (0, 3, 1, 2), "hwnc": (1, 2, 0, 3), "hwcn": (1, 2, 3, 0)}


def as_frigate_scales(pixels: np.ndarray, scale: Scale) -> np.ndarray:
    if scale == Scale.PIXELS:
        return pixels
    floats = pixels.astype(np.float32)
    if scale == Scale.SHARES:
        floats /= 255
    return floats


def with_all_pixels() -> np.ndarray:
    """[1, 16, 16, 3]: each channel has all 256 pixels, in another order."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(ALL) for _ in range(3)], axis=-1).reshape(1, 16, 16, 3)


@pytest.mark.parametrize("layout", TURNED)
@pytest.mark.parametrize("scale", Scale)
def test_a_picture_comes_back_as_it_was(scale: Scale, layout: str) -> None:
    pixels = with_all_pixels()
    found = picture_in(as_frigate_scales(pixels, scale).transpose(TURNED[layout]))
    assert found.scale == scale
    assert found.pixels.flags.c_contiguous
    np.testing.assert_array_equal(found.pixels, pixels[0])


@pytest.mark.parametrize("towards", [-np.inf, np.inf])
@pytest.mark.parametrize("scale", FLOATS)
def test_no_value_may_be_off_by_the_least_amount(scale: Scale, towards: float) -> None:
    """For each of the 256 pixels, in a tensor of which it is the only value that is off."""
    exact = as_frigate_scales(with_all_pixels(), scale)
    for at in range(256):
        off = exact.copy()
        value = off.reshape(-1)[3 * at]
        off.reshape(-1)[3 * at] = np.nextafter(value, np.float32(towards))
        assert pixels_of(off, scale) is None
        with pytest.raises(InvalidTensor, match="not made of an 8-bit picture"):
            picture_in(off)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, -1 / 255, 256.0, 257.0, 1e30, 0.5, 512.0])
def test_other_values_are_no_pixels(value: float) -> None:
    tensor = np.zeros((1, 3, 4, 5), np.float32)
    tensor[0, 2, 3, 4] = value
    with pytest.raises(InvalidTensor, match="not made of an 8-bit picture"):
        picture_in(tensor)


def test_the_last_value_counts_in_a_large_tensor() -> None:
    tensor = np.zeros((1, 640, 640, 3), np.float32)
    tensor[-1, -1, -1, -1] = 0.3
    assert pixels_of(tensor, Scale.SHARES) is None


def test_what_fits_both_scales_is_taken_for_the_likelier() -> None:
    dark = np.array([0, 1] * 24, np.float32).reshape(1, 4, 4, 3)
    assert picture_in(dark).scale == Scale.SHARES
    assert picture_in(dark).pixels.max() == 255
    assert picture_in(dark, (Scale.LEVELS, Scale.SHARES)).pixels.max() == 1


@pytest.mark.parametrize(
    "shape", [(4, 4, 3), (1, 4, 4, 1), (2, 4, 4, 3), (1, 4, 4, 4), (1, 3, 4, 3), (3, 3, 3, 3), (48,), (1, 1, 4, 4, 3)]
)
def test_other_shapes_are_no_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidTensor, match="not one picture"):
        picture_in(np.zeros(shape, np.uint8))


@given(
    pixels=arrays.arrays(np.uint8, st.tuples(st.integers(4, 9), st.integers(4, 9), st.just(3))),
    scale=st.sampled_from(list(Scale)),
)
def test_any_picture_comes_back(pixels: np.ndarray, scale: Scale) -> None:
    likely = FLOATS if scale != Scale.LEVELS else (Scale.LEVELS, Scale.SHARES)
    found = picture_in(as_frigate_scales(pixels[np.newaxis], scale), likely)
    np.testing.assert_array_equal(found.pixels, pixels)


@settings(max_examples=300)
@given(arrays.arrays(np.float32, (1, 3, 4, 5), elements=st.floats(width=32)), st.sampled_from(FLOATS))
def test_what_is_found_makes_the_same_tensor_again(tensor: np.ndarray, scale: Scale) -> None:
    pixels = pixels_of(tensor, scale)
    expected = np.isin(tensor, as_frigate_scales(ALL, scale)).all()
    assert (pixels is not None) == expected
    if pixels is not None:
        np.testing.assert_array_equal(as_frigate_scales(pixels, scale), tensor)
