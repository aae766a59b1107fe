"""A model that is loaded and warm, and what is known of its speed here."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.package import Package
from collabd.partition import Network
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.preparation import Preparation
from collabd.use_count import UseCount

# Distinct pairs of tensors at hand and wanted whose dependencies are remembered: the stages of an application's plans.
_REMEMBERED = 256


class DeviceModel:
    """One loaded package. `whole_s`: the whole network takes so long on this device when it is idle.

    The engine runs its network under `key`, until the last call to which it is `lent` has ended.
    """

    def __init__(self, package: Package, network: Network, slowdown: float) -> None:
        self.package = package
        self.manifest = package.manifest
        self.digest = package.digest
        self.network = network
        self._slowdown = slowdown
        # The tensors alive behind each layer; behind the last, the network's output.
        self.frontiers = (*(layer.tensors for layer in package.manifest.layers[:-1]), (package.manifest.output,))
        # Not the digest alone: the same package may be loaded anew while calls still hold what was loaded before.
        self.key = f"{package.digest} {id(self):x}"
        self.lent = UseCount()
        # Which of the tensors at hand (first) the wanted ones are computed from.
        self.needed = lru_cache(_REMEMBERED)(network.needed)
        self.whole_s = 0.0
        self.profile: Profile | None = None
        self.prep = Preparation(slowdown)

    def warmed_up(self, whole_s: float) -> None:
        """The first timed run took `whole_s`, which holds until there is a profile."""
        self.whole_s = whole_s

    def take_profile(self, profile: Profile) -> None:
        """From now on its times here are those of the profile."""
        self.profile = profile
        self.whole_s = profile.whole_ms / 1e3
        spec = self.manifest.preprocessing
        self.prep.note_profile(spec.height * spec.width / 1e6, profile.prep_ms / 1e3 * self._slowdown)

    @cached_property
    def blank(self) -> npt.NDArray[np.uint8]:
        """An input of the right shape, to warm up with."""
        spec = self.manifest.preprocessing
        return np.zeros((1, spec.height, spec.width, 3), np.uint8)
