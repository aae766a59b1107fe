"""A model that is loaded and warm, and what is known of its speed here."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from collabd.catalog.manifest import Manifest
from collabd.catalog.package import Package
from collabd.partition import Network
from collabd.profiling.profile import Profile
from collabd.sensing.preparation import Preparation


class Model:
    """One loaded package. `whole_s` is the time of the whole network on this device, idle; set when it is warm."""

    def __init__(self, package: Package, network: Network, slowdown: float) -> None:
        self.package = package
        self.network = network
        self.whole_s = 0.0
        self.profile: Profile | None = None
        self.prep = Preparation(slowdown)
        self._needed: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}

    @property
    def manifest(self) -> Manifest:
        """Its package's manifest."""
        return self.package.manifest

    @property
    def digest(self) -> str:
        """Its package's digest."""
        return self.package.digest

    @cached_property
    def blank(self) -> npt.NDArray[np.uint8]:
        """An input of the right shape, to warm up with."""
        spec = self.manifest.preprocessing
        return np.zeros((1, spec.height, spec.width, 3), np.uint8)

    def needed(self, available: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the available tensors `outputs` are computed from; remembered, since plans repeat."""
        key = available, outputs
        if key not in self._needed:
            self._needed[key] = self.network.needed(available, outputs)
        return self._needed[key]
