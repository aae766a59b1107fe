"""Inputs made by rule, of whatever types and shapes a network takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collabd.catalog.graph.probe_images import probe_images
from collabd.partition import TensorInfo

_COUNT = 10

Feeds = dict[str, npt.NDArray[np.generic]]


def probe_feeds(inputs: Sequence[TensorInfo]) -> list[Feeds]:
    """Ten times what a network with these `inputs` takes at batch 1, equal for equal inputs.

    An image (uint8 [1, height, width, 3]) gets `probe_images`. Floats differ in size from feed to feed. Integers are 0
    or 1, which nearly every network can take that reads them as indices or as sizes.
    """
    rng = np.random.default_rng(0)
    values = {info.name: _images(info) if _is_image(info) else _noise(info, rng) for info in inputs}
    return [{name: each[index] for name, each in values.items()} for index in range(_COUNT)]


def _is_image(info: TensorInfo) -> bool:
    return info.dtype == np.uint8 and len(info.shape) == 4 and info.shape[0] in {None, 1} and info.shape[3] == 3


def _images(info: TensorInfo) -> Sequence[npt.NDArray[np.generic]]:
    return list(probe_images(*(size or 1 for size in info.shape[1:3]))[:, np.newaxis])


def _noise(info: TensorInfo, rng: np.random.Generator) -> Sequence[npt.NDArray[np.generic]]:
    shape = [1 if size is None else size for size in info.shape]
    if info.dtype.kind != "f":
        return [rng.integers(0, 2, shape).astype(info.dtype) for _ in range(_COUNT)]
    return [(rng.random(shape) * (step + 1) / _COUNT).astype(info.dtype) for step in range(_COUNT)]
