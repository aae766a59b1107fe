"""What may leave the device. The configuration and the call both limit it, and the stricter limit counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Fallback
from collabd.catalog.package.manifest import Manifest
from collabd.config import DeviceConfig, PolicySettings
from collabd.device.job.options import CallOptions
from collabd.planning.placements.trellis import Pins


@dataclass(frozen=True)
class CallPolicy:
    """The policy of one call.

    `pin_first` and `pin_last`: how many of the first and last layers stay on the device. `fallback`: what the device
    does when the companion fails.
    """

    pin_first: int
    pin_last: int
    fallback: Fallback

    def allows(self, first: int, last: int, layers: int) -> bool:
        """Whether the companion may run the layers from `first` up to, but not including, `last`.

        `layers`: the number of layers of the network.
        """
        return self.fallback != Fallback.NEVER_LEAVE and self.pin_first <= first and last <= layers - self.pin_last

    def check(self, placement: str) -> None:
        """Check a placement of one letter for each layer. Raises `InvalidPlacement` when it breaks the policy."""
        if "C" not in placement:
            return
        if self.fallback == Fallback.NEVER_LEAVE:
            raise InvalidPlacement("the model's policy is never-leave: no layer may run on a companion")
        if "C" in placement[: self.pin_first]:
            raise InvalidPlacement(f"the first {self.pin_first} layers are pinned to the device (pin_first)")
        if "C" in placement[max(len(placement) - self.pin_last, 0) :]:
            raise InvalidPlacement(f"the last {self.pin_last} layers are pinned to the device (pin_last)")

    def pins(self, starts: Iterable[int], layers: int) -> Pins:
        """The pins of segments that start at the layers `starts`. A segment is pinned if one of its layers is."""
        bounds = [*starts, layers]
        first = sum(start < self.pin_first for start in bounds[:-1])
        last = sum(end > layers - self.pin_last for end in bounds[1:])
        return Pins(first, last, self.fallback == Fallback.NEVER_LEAVE)


class Policies:
    """The policies of a configuration."""

    def __init__(self, config: DeviceConfig) -> None:
        self._everywhere = config.planning
        self._of_model = {policy.model: policy for policy in config.policies}

    def of(self, manifest: Manifest, options: CallOptions) -> CallPolicy:
        """The policy that holds for a call of this model."""
        mine = self._of_model.get(manifest.name) or PolicySettings(model=manifest.name)
        forbidden = Fallback.NEVER_LEAVE in {mine.fallback, options.fallback}
        return CallPolicy(
            pin_first=max(self._everywhere.pin_first, mine.pin_first, options.pin_first),
            pin_last=max(self._everywhere.pin_last, mine.pin_last, options.pin_last),
            fallback=Fallback.NEVER_LEAVE if forbidden else options.fallback or mine.fallback,
        )
