"""A loaded and warm model, and its speed on this device."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import blank_inputs, kind_of
from collabd.catalog.package.package import Package
from collabd.engine import keys_of
from collabd.partition import Network
from collabd.profiling.profile import Profile
from collabd.sensing.estimates.image_times import ImageTimes
from collabd.tasks.forms import AnswerForms
from collabd.use_count import UseCount

# How many pairs (tensors at hand, tensors wanted) the cache holds: enough for the stages of one application's plans.
_REMEMBERED = 256


class DeviceModel:
    """One loaded package. `whole_s`: how long the whole network takes on this device when it is idle, in seconds.

    `networks`: in each precision that runs here. The engine knows them by `keys`; `key` is that of fp32. `lent` counts
    the calls that use the model: the engine keeps its networks until the last of them has ended.
    """

    def __init__(self, package: Package, networks: Mapping[Precision, Network]) -> None:
        self.package = package
        self.manifest = package.manifest
        self.digest = package.digest
        self.networks = dict(networks)
        # Its names, types and sizes of tensors are those of the others too.
        self.network = networks[Precision.FP32]
        self.kind = kind_of(package.manifest.task)
        self.inputs = package.manifest.input_names
        self.outputs = package.manifest.output_names
        # The outputs that a companion shall compress: class maps become a hundredth of their size.
        self.packed = frozenset(port.name for port in package.manifest.outputs if port.dtype == "uint8")
        # Make of outputs what callers get.
        self.forms = AnswerForms(package.manifest)
        # For each layer: the tensors that later layers need. For the last layer: the network's outputs.
        self.frontiers = (*(layer.tensors for layer in package.manifest.layers[:-1]), self.outputs)
        # The digest alone is not unique: a package may be loaded again while calls still use its earlier model.
        self.key = f"{package.digest} {id(self):x}"
        self.keys = keys_of(self.key, self.networks)
        self.lent = UseCount()
        # Takes the tensors at hand and the tensors wanted; returns those at hand that the wanted ones depend on.
        self.needed = lru_cache(_REMEMBERED)(self.network.needed)
        self.whole_s = 0.0
        self.profile: Profile | None = None
        self.prep = ImageTimes()
        # What is made of the outputs differs from task to task and with the picture, so nothing is guessed.
        self.answering = ImageTimes(first_s=0.0, first_s_per_megapixel=0.0)

    @property
    def weight_bytes(self) -> int:
        """The memory that its weights take."""
        return sum(network.weight_bytes for network in self.networks.values())

    def whole_in_s(self, precision: Precision) -> float:
        """As `whole_s`, in another precision, of which the profile tells."""
        if precision == Precision.FP32 or self.profile is None:
            return self.whole_s
        return self.profile.whole_s(precision)

    def has_timed(self, precision: Precision) -> bool:
        """Whether it runs here in this precision, and what that takes is known. Of fp32 it is known from the start."""
        profiled = (Precision.FP32,) if self.profile is None else self.profile.precisions
        return precision in self.networks and precision in profiled

    @cached_property
    def forms_of_input(self) -> AnswerForms:
        """The same for a picture that came as the network's input. Raises `InvalidTensor` if it takes no picture."""
        return AnswerForms(self.manifest, of_input=True)

    def leave_out(self, precision: Precision) -> None:
        """Do without a precision, which does not run here."""
        del self.networks[precision], self.keys[precision]

    def warmed_up(self, whole_s: float) -> None:
        """Note that the first timed run took `whole_s` seconds. A profile replaces this figure later."""
        self.whole_s = whole_s

    def take_profile(self, profile: Profile) -> None:
        """Use the times of `profile` from now on."""
        self.profile = profile
        self.whole_s = profile.whole_s()
        if (spec := self.manifest.picture) is not None:
            self.prep.note_profile(spec.height * spec.width / 1e6, profile.prep_ms / 1e3)

    @cached_property
    def blank(self) -> dict[str, npt.NDArray[np.generic]]:
        """Inputs of zeros for the warm-up."""
        return blank_inputs(self.manifest)
