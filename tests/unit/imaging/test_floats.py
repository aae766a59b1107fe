"""A network's input that came as floats."""

from __future__ import annotations

import numpy as np
import pytest

from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.manifest import Picture
from collabd.imaging.floats import network_pixels

SPEC = Picture(height=4, width=64)
PIXELS = np.arange(4 * 64 * 3, dtype=np.int64).reshape(4, 64, 3).astype(np.uint8)
FLOATS = PIXELS.astype(np.float32) / 255


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_every_value_of_a_pixel_comes_out_as_it_was(first: bool, batch: bool) -> None:
    values = FLOATS.transpose(2, 0, 1) if first else FLOATS
    found = network_pixels(values[np.newaxis] if batch else values, SPEC)
    np.testing.assert_array_equal(found, PIXELS)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 255.0, np.nan, np.inf, -np.inf])
def test_what_is_no_part_of_255_is_refused(wrong: float) -> None:
    values = FLOATS.copy()
    values[1, 2, 0] = wrong
    with pytest.raises(InvalidTensor, match=r"0\.\.1"):
        network_pixels(values, SPEC)


@pytest.mark.parametrize("shape", [(4, 64), (2, 3, 4, 64), (3, 64, 4), (4, 64, 4), (1, 1, 3, 4, 64), (0, 3, 4, 64)])
def test_another_size_is_refused_with_the_right_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidTensor, match=r"\[1, 3, 4, 64\] or \[1, 4, 64, 3\]"):
        network_pixels(np.zeros(shape, np.float32), SPEC)
