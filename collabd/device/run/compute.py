"""The heavy work of a call, as functions for the lane. They belong to this machine or to a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.catalog.package.manifest import Picture
from collabd.device.companions.answers import Tensors
from collabd.device.job.image import CallImage
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.device.run.features import encode_features
from collabd.engine import Engine, Stop


class RunLayers(Protocol):
    """Runs a part of a network."""

    def __call__(
        self, key: str, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], *, stop: Stop
    ) -> dict[str, np.ndarray]:
        """Compute the tensors named in `outputs` with the network `key`, from the tensors in `feeds`."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The pieces of work that the lane does for a call. The lane runs each piece as a turn of its own."""

    prepare_image: Callable[[CallImage, Picture], npt.NDArray[np.uint8]]
    # Called before the first run of these layers. Takes the key of a network, the names of the tensors at hand, and the
    # names of the tensors wanted.
    prepare_layers: Callable[[str, Sequence[str], Sequence[str]], None]
    run_layers: RunLayers
    encode: Callable[[Tensors, Crossing, DeviceModel], list[wire.Tensor]]


def compute_on(engine: Engine) -> Compute:
    """The work as this machine does it."""
    return Compute(
        prepare_image=CallImage.prepare,
        prepare_layers=engine.prepare,
        run_layers=engine.run,
        encode=encode_features,
    )
