from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.augment import erase, shift_and_flip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_every_result_is_a_crop_of_the_reflected_image_or_of_its_mirror() -> None:
    image = torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32).float()
    padded = functional.pad(image, (4, 4, 4, 4), mode="reflect")[0]
    crops = {
        tuple(crop.flatten().tolist()): (top, left, mirrored)
        for top in range(9)
        for left in range(9)
        for mirrored, crop in enumerate(
            (padded[:, top : top + 32, left : left + 32], padded[:, top : top + 32, left : left + 32].flip(2))
        )
    }
    found = {crops[tuple(each.flatten().tolist())] for each in shift_and_flip(image.expand(400, -1, -1, -1))}
    assert {top for top, _, _ in found} == {left for _, left, _ in found} == set(range(9))
    assert {mirrored for _, _, mirrored in found} == {0, 1}
    assert len(found) > 100  # of 162: rows, columns and mirroring are drawn independently


def test_bytes_stay_bytes_and_keep_their_shape() -> None:
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    changed = shift_and_flip(images)
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)


def test_one_square_is_erased_in_the_whole_batch() -> None:
    images = torch.ones((6, 3, 32, 32))
    erase(images, square=8, every=None)
    assert (images == images[0]).all()
    rows, columns = torch.nonzero(images[0, 0] == 0, as_tuple=True)
    assert len(rows) == 64
    assert int(rows.max() - rows.min()) == int(columns.max() - columns.min()) == 7


def test_every_second_image_gets_a_square_of_its_own() -> None:
    images = torch.ones((40, 3, 32, 32))
    erase(images, square=6, every=2)
    assert (images[1::2] == 1).all()
    erased = images[::2] == 0
    assert erased.sum((1, 2, 3)).tolist() == [3 * 36] * 20
    assert len({tuple(torch.nonzero(each)[0].tolist()) for each in erased}) > 10
