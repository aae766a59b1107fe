"""A network's input as clients send it that prepare pictures themselves: floats, the colours first or last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.manifest import Picture

# What rounding in the client may have added.
_SLACK = 1e-3


def network_pixels(values: NDArray[Any], spec: Picture) -> NDArray[np.uint8]:
    """The pixels, uint8 [height, width, 3], of which `values` are the parts of 255: RGB, 0..1.

    `values`: float32 [3, height, width] or [height, width, 3] of the input that `spec` describes, with an axis of one
    picture before it or without. Values that were pixels once come out as they were. Raises `InvalidTensor`.
    """
    one = values[0] if values.ndim == 4 and len(values) == 1 else values
    if one.shape == (3, spec.height, spec.width):
        one = one.transpose(1, 2, 0)
    elif one.shape != (spec.height, spec.width, 3):
        raise InvalidTensor(
            f"FP32 is the network's input itself, RGB in 0..1: its shape is [1, 3, {spec.height}, {spec.width}] or "
            f"[1, {spec.height}, {spec.width}, 3], not {list(values.shape)}; for a picture of any size send UINT8 or a "
            "file"
        )
    # Also false where one is no number.
    if not (one.min() >= -_SLACK and one.max() <= 1 + _SLACK):
        raise InvalidTensor("FP32 is the network's input with RGB in 0..1, and a value is outside of that")
    return np.ascontiguousarray(np.rint(one.clip(0, 1) * np.float32(255)).astype(np.uint8))
