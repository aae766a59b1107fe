"""Which of the pushed packages stay, on the disk and in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from collab_sdk.errors import RequestTooLarge, StorageUnavailable
from collabd.catalog.package import Package
from collabd.config import Packages

_MIB = 2**20


@dataclass(frozen=True)
class Kept:
    """A pushed package, what it takes on the disk, and whether a request uses it right now."""

    package: Package
    nbytes: int
    busy: bool = False


def to_delete(kept: Sequence[Kept], nbytes: int, limits: Packages) -> list[Package]:
    """Of `kept`, least recently used first, those that make room for another of `nbytes`.

    Raises `RequestTooLarge` if it could never be kept, `StorageUnavailable` if too many are busy now.
    """
    quota = limits.quota_mb * _MIB
    if nbytes > quota:
        raise RequestTooLarge(f"a package of {nbytes} bytes is above this companion's quota of {quota} bytes")
    count, total = len(kept), sum(each.nbytes for each in kept)
    chosen = []
    for each in kept:
        if count < limits.max_packages and total + nbytes <= quota:
            break
        if not each.busy:
            chosen.append(each.package)
            count, total = count - 1, total - each.nbytes
    if count >= limits.max_packages or total + nbytes > quota:
        raise StorageUnavailable("the packages that are in use leave no room for another; try again later")
    return chosen


def to_load(kept: Sequence[Kept], limits: Packages) -> list[Package]:
    """Of `kept`, least recently used first, the last that fit into memory together."""
    return [each.package for each in reversed(list(_fitting(reversed(kept), limits.loaded_mb * _MIB)))]


def _fitting(kept: Iterable[Kept], room: int) -> Iterator[Kept]:
    for each in kept:
        # Weights lie on the disk in half of their width.
        room -= 2 * each.nbytes
        if room < 0:
            return
        yield each
