"""Which of the pushed packages stay, on the disk and in memory.

Each is of the devices that sent or used it. Where room is wanted, the device that has most gives it, of its own what it
used least recently: no device can push out what another has while it has more itself.
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


@dataclass(frozen=True)
class PushedPackage:
    """A pushed package, what it takes, and whose it is. One that is busy stays: it is in use, or still coming."""

    package: Package | None
    nbytes: int
    devices: frozenset[str] = frozenset()
    busy: bool = False


def to_delete(kept: Sequence[PushedPackage], new: PushedPackage, limits: PackageSettings) -> list[Package]:
    """Of `kept`, least recently used first, those that make room for `new`.

    Raises `RequestTooLarge` if it could never be kept, `StorageUnavailable` if too many are busy now.
    """
    disk = _Bounds(limits.max_packages, limits.quota_mb * _MIB)
    if new.nbytes > disk.nbytes:
        raise RequestTooLarge(
            f"the package has {new.nbytes} bytes, more than this companion's quota of {disk.nbytes} bytes"
        )
    chosen = []
    staying = [*kept, new]
    while crowd := _crowd(staying, new, disk):
        giver = _giver(crowd, staying, new.devices, disk)
        if giver is None or giver.package is None:
            raise StorageUnavailable("the packages in use leave no room for another one; try again later")
        staying.remove(giver)
        chosen.append(giver.package)
    return chosen


def to_unload(loaded: Sequence[PushedPackage], wants: frozenset[str], limits: PackageSettings) -> list[Package]:
    """Of `loaded`, least recently used first, those that are too much for the memory; `wants`: whose is the newest."""
    memory = _Bounds(None, limits.loaded_mb * _MIB)
    chosen = []
    staying = list(loaded)
    while memory.share(staying) > 1:
        giver = _giver(staying, staying, wants, memory)
        if giver is None or giver.package is None:
            break
        staying.remove(giver)
        chosen.append(giver.package)
    return chosen


def to_load(kept: Sequence[PushedPackage], limits: PackageSettings) -> list[Package]:
    """Of `kept`, least recently used first, the last that fit into memory together."""
    fitting = reversed(list(_fitting(reversed(kept), limits.loaded_mb * _MIB)))
    return [each.package for each in fitting if each.package is not None]


@dataclass(frozen=True)
class _Bounds:
    """How many packages there may be, None: any number, and their bytes."""

    count: int | None
    nbytes: int

    def share(self, packages: Collection[PushedPackage]) -> float:
        """Of what there is: 1 is all of it."""
        counted = len(packages) / self.count if self.count else 0.0
        return max(counted, sum(each.nbytes for each in packages) / self.nbytes)

    def of_one(self, device: str) -> _Bounds:
        """What one device may have."""
        return _Bounds(self.count and most_for(device, self.count), most_for(device, self.nbytes))


def _crowd(staying: Sequence[PushedPackage], new: PushedPackage, bounds: _Bounds) -> Sequence[PushedPackage]:
    """Those among which one must go: none, all, or what is the sender's alone where that is more than one may have."""
    for device in new.devices:
        own = [each for each in staying if each.devices == {device}]
        if len(own) > 1 and bounds.of_one(device).share(own) > 1:
            return own
    return staying if bounds.share(staying) > 1 else ()


def _giver(
    crowd: Sequence[PushedPackage], staying: Sequence[PushedPackage], wants: frozenset[str], bounds: _Bounds
) -> PushedPackage | None:
    """Of a crowd the least recently used of who has most; of equals who wants room gives it. Nobody's goes first."""
    shares = {
        device: bounds.share([each for each in staying if device in each.devices])
        for device in {device for each in staying for device in each.devices}
    }

    def claim(each: PushedPackage) -> tuple[float, bool]:
        # What several have is as safe as what the one of them has who has least.
        return -min((shares[device] for device in each.devices), default=math.inf), not each.devices & wants

    return min((each for each in crowd if not each.busy), key=claim, default=None)


def _fitting(kept: Iterable[PushedPackage], room: int) -> Iterator[PushedPackage]:
    for each in kept:
        # Weights lie on the disk in half of their width.
        room -= 2 * each.nbytes
        if room < 0:
            return
        yield each
