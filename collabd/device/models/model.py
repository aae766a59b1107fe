"""A loaded and warm model, and its speed on this device."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.package import Package
from collabd.partition import Network
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.preparation import Preparation
from collabd.use_count import UseCount

# How many pairs (tensors at hand, tensors wanted) the cache holds: enough for the stages of one application's plans.
_REMEMBERED = 256


class DeviceModel:
    """One loaded package. `whole_s`: how long the whole network takes on this device when it is idle, in seconds.

    The engine knows the network by `key`. `lent` counts the calls that use the model: the engine keeps the network
    until the last of them has ended.
    """

    def __init__(self, package: Package, network: Network) -> None:
        self.package = package
        self.manifest = package.manifest
        self.digest = package.digest
        self.network = network
        # For each layer: the tensors that later layers need. For the last layer: the network's output.
        self.frontiers = (*(layer.tensors for layer in package.manifest.layers[:-1]), (package.manifest.output,))
        # The digest alone is not unique: a package may be loaded again while calls still use its earlier model.
        self.key = f"{package.digest} {id(self):x}"
        self.lent = UseCount()
        # Takes the tensors at hand and the tensors wanted; returns those at hand that the wanted ones depend on.
        self.needed = lru_cache(_REMEMBERED)(network.needed)
        self.whole_s = 0.0
        self.profile: Profile | None = None
        self.prep = Preparation()

    def warmed_up(self, whole_s: float) -> None:
        """Note that the first timed run took `whole_s` seconds. A profile replaces this figure later."""
        self.whole_s = whole_s

    def take_profile(self, profile: Profile) -> None:
        """Use the times of `profile` from now on."""
        self.profile = profile
        self.whole_s = profile.whole_ms / 1e3
        spec = self.manifest.preprocessing
        self.prep.note_profile(spec.height * spec.width / 1e6, profile.prep_ms / 1e3)

    @cached_property
    def blank(self) -> npt.NDArray[np.uint8]:
        """An input of zeros for the warm-up: uint8, of shape (1, height, width, 3)."""
        spec = self.manifest.preprocessing
        return np.zeros((1, spec.height, spec.width, 3), np.uint8)
