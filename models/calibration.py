"""The images that calibrate each network that comes with collabd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models import cifar10
from models.networks import CIFAR10_NETWORKS
from models.photographs import crops, photographs

__all__ = ["calibrating"]

# This one sees crops; those that are not of CIFAR-10 see whole photographs.
_CROPPED = "efficientnet_lite0"
# Two of the samples with several objects are parts of these, and no sample may calibrate the network that it shows.
_OF_SAMPLES = frozenset({"backgrounds-friends_by_Aitzol_Berasategi", "backgrounds-Wine_by_Jakkub_Mede"})
_EACH_CLASS = 100
_CROPS_EACH = 4


def calibrating(name: str, source: Path) -> Sequence[bytes | np.ndarray]:
    """The images of network `name` in `source`: the CIFAR-10 JPEGs, or a folder of photographs for the others."""
    if name in CIFAR10_NETWORKS:
        return [image for image, _ in cifar10.calibrating(source, _EACH_CLASS)]
    if name == _CROPPED:
        return crops(photographs(source), _CROPS_EACH)
    return [path.read_bytes() for path in photographs(source) if path.stem not in _OF_SAMPLES]
