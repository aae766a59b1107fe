"""Which of the pushed packages stay, on the disk and in memory.

A package belongs to the devices that sent or used it. Where room is needed, the device that has most gives up the
package that it used least recently. So no device can push out what another has while it has more itself.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from collab_sdk.errors import RequestTooLarge, StorageUnavailable
from collabd.catalog.package.package import Package
from collabd.config import PackageSettings
from collabd.fair_shares import most_for

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class PushedPackage:
    """A pushed package, its bytes, and its devices. A busy one, in use or still being received, stays."""

    package: Package | None
    nbytes: int
    devices: frozenset[str] = frozenset()
    busy: bool = False


def to_delete(kept: Sequence[PushedPackage], new: PushedPackage, limits: PackageSettings) -> list[Package]:
    """The packages to delete to make room for `new`. `kept` is sorted, least recently used first.

    Raises `RequestTooLarge` if it could never be kept, `StorageUnavailable` if too many packages are in use now.
    """
    disk = _Bounds(limits.max_packages, limits.quota_mb * _MIB)
    if new.nbytes > disk.nbytes:
        raise RequestTooLarge(
            f"the package has {new.nbytes} bytes, more than this companion's quota of {disk.nbytes} bytes"
        )
    chosen = []
    staying = [*kept, new]
    while crowd := _crowd(staying, new, disk):
        giver = _giver(crowd, staying, wants=new.devices, bounds=disk)
        if giver is None or giver.package is None:
            raise StorageUnavailable("the packages in use leave no room for another one; try again later")
        staying.remove(giver)
        chosen.append(giver.package)
    return chosen


def to_unload(loaded: Sequence[PushedPackage], wants: frozenset[str], limits: PackageSettings) -> list[Package]:
    """The packages to unload until the rest fit into memory; `wants`: the devices of the newest.

    `loaded` is sorted, least recently used first.
    """
    memory = _Bounds(None, limits.loaded_mb * _MIB)
    chosen = []
    staying = list(loaded)
    while memory.share(staying) > 1:
        giver = _giver(staying, staying, wants=wants, bounds=memory)
        if giver is None or giver.package is None:
            break
        staying.remove(giver)
        chosen.append(giver.package)
    return chosen


def to_load(kept: Sequence[PushedPackage], limits: PackageSettings) -> list[Package]:
    """The most recently used packages that fit into memory together. `kept` is sorted, least recently used first."""
    fitting = reversed(list(_fitting(reversed(kept), limits.loaded_mb * _MIB)))
    return [each.package for each in fitting if each.package is not None]


@dataclass(frozen=True)
class _Bounds:
    """How many packages there may be (None: any number), and how many bytes they may take."""

    count: int | None
    nbytes: int

    def share(self, packages: Collection[PushedPackage]) -> float:
        """How much of the bounds these packages take; 1 is all."""
        counted = len(packages) / self.count if self.count else 0.0
        return max(counted, sum(each.nbytes for each in packages) / self.nbytes)

    def of_one(self, device: str) -> _Bounds:
        """The bounds of one device."""
        return _Bounds(self.count and most_for(device, self.count), most_for(device, self.nbytes))


def _crowd(staying: Sequence[PushedPackage], new: PushedPackage, bounds: _Bounds) -> Sequence[PushedPackage]:
    """The packages of which one must go: none, all, or the sender's own if these are more than one device may have."""
    for device in new.devices:
        own = [each for each in staying if each.devices == {device}]
        if len(own) > 1 and bounds.of_one(device).share(own) > 1:
            return own
    return staying if bounds.share(staying) > 1 else ()


def _giver(
    crowd: Sequence[PushedPackage], staying: Sequence[PushedPackage], *, wants: frozenset[str], bounds: _Bounds
) -> PushedPackage | None:
    """The package of `crowd` that goes: the least recently used one of the device that has most.

    Where devices have equally much, the one that wants room gives. A package without a device goes before all others.
    """
    shares = {
        device: bounds.share([each for each in staying if device in each.devices])
        for device in {device for each in staying for device in each.devices}
    }

    def claim(each: PushedPackage) -> tuple[float, bool]:
        # A package of several devices is as safe as the packages of the one that has least.
        return -min((shares[device] for device in each.devices), default=math.inf), not each.devices & wants

    return min((each for each in crowd if not each.busy), key=claim, default=None)


def _fitting(kept: Iterable[PushedPackage], room: int) -> Iterator[PushedPackage]:
    for each in kept:
        # Weights lie on the disk in half width.
        room -= 2 * each.nbytes
        if room < 0:
            return
        yield each
