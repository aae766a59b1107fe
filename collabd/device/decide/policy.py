"""What may leave the device: the configuration and the call, and of the two the stricter."""

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
    """For one call: so many first and last layers stay on the device; `fallback` says what if the companion fails."""

    pin_first: int
    pin_last: int
    fallback: Fallback

    def allows(self, first: int, last: int, layers: int) -> bool:
        """Whether the companion may run layers `first` up to but not including `last`, of so many in all."""
        return self.fallback != Fallback.NEVER_LEAVE and self.pin_first <= first and last <= layers - self.pin_last

    def check(self, placement: str) -> None:
        """Raises `InvalidPlacement` where a placement, one letter a layer, breaks the policy."""
        if "C" not in placement:
            return
        if self.fallback == Fallback.NEVER_LEAVE:
            raise InvalidPlacement("the model's policy is never-leave: no layer may run on a companion")
        if "C" in placement[: self.pin_first]:
            raise InvalidPlacement(f"the first {self.pin_first} layers are pinned to the device (pin_first)")
        if "C" in placement[max(len(placement) - self.pin_last, 0) :]:
            raise InvalidPlacement(f"the last {self.pin_last} layers are pinned to the device (pin_last)")

    def pins(self, starts: Iterable[int], layers: int) -> Pins:
        """The same for segments that start at these layers: a segment stays as soon as one of its layers has to."""
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
        """What holds for a call."""
        mine = self._of_model.get(manifest.name) or PolicySettings(model=manifest.name)
        forbidden = Fallback.NEVER_LEAVE in {mine.fallback, options.fallback}
        return CallPolicy(
            pin_first=max(self._everywhere.pin_first, mine.pin_first, options.pin_first),
            pin_last=max(self._everywhere.pin_last, mine.pin_last, options.pin_last),
            fallback=Fallback.NEVER_LEAVE if forbidden else options.fallback or mine.fallback,
        )
