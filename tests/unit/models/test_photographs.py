from __future__ import annotations

import numpy as np
import pytest

from models.photographs import PHOTOGRAPHS, crops, photograph


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_rgb_bytes(name: str) -> None:
    pixels = photograph(name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)


def test_crops_are_varied_squares_and_the_same_every_time() -> None:
    some = crops(["chelsea", "rocket"], each=8)
    assert len(some) == 16
    assert all(crop.shape[0] == crop.shape[1] and crop.shape[2] == 3 for crop in some)
    assert len({crop.tobytes() for crop in some}) == 16
    assert min(crop.shape[0] for crop in some) >= 210  # 0.7 of the 300 pixels of the cat
    assert all(np.array_equal(one, two) for one, two in zip(some, crops(["chelsea", "rocket"], each=8), strict=True))
    assert not np.array_equal(some[0], crops(["chelsea"], each=1, seed=1)[0])


def test_a_crop_is_a_window_or_a_mirrored_window_of_its_photograph() -> None:
    picture = photograph("chelsea")
    seen = set()
    for crop in crops(["chelsea"], each=6):
        side = crop.shape[0]
        windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side, 3))[:, :, 0]
        for mirrored, wanted in enumerate((crop, crop[:, ::-1])):
            corners = np.argwhere((windows[..., 0, 0, :] == wanted[0, 0]).all(-1))
            seen |= {mirrored for top, left in corners if np.array_equal(windows[top, left], wanted)}
    assert seen == {0, 1}
