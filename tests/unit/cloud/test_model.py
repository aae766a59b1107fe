"""Which tensors may be joined into a batch."""

import numpy as np
import pytest

from collabd.cloud.model import joins
from collabd.partition import TensorInfo


@pytest.mark.parametrize(
    ("shape", "elements", "expected"),
    [
        ((None, 8, 4), 32, True),
        ((None,), 1, True),
        ((1, 8, 4), 32, False),  # a network that takes one image
        ((2, None, 4), 8, False),  # the batch is not the first axis
        ((None, None), 1, False),  # ... or not the only one
        ((None, 4), 8, False),  # two rows an image, in an order that only the graph knows
        ((), 1, False),
        ((4,), 4, False),  # a shape tensor, the same for all
    ],
)
def test_only_a_plain_batch_axis_joins(shape: tuple[int | None, ...], elements: int, expected: bool) -> None:
    assert joins(TensorInfo("x", np.dtype(np.float32), shape, elements * 4)) is expected
