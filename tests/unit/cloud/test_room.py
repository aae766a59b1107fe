from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_sdk.errors import RequestTooLarge, StorageUnavailable
from collabd.catalog.package import Package
from collabd.cloud.room import Kept, to_delete, to_load
from collabd.config import Packages

MIB = 2**20


def kept(package: Package, *mib: int, busy: tuple[int, ...] = ()) -> list[Kept]:
    """Of so many MiB each; the first was used least recently."""
    return [
        Kept(Package(Path(str(at)), package.manifest, str(at)), size * MIB, at in busy) for at, size in enumerate(mib)
    ]


def limits(**changes: Any) -> Packages:
    return Packages(**({"max_packages": 4, "quota_mb": 10, "loaded_mb": 10} | changes))


@pytest.mark.parametrize(
    ("sizes", "busy", "new", "deleted", "why"),
    [
        ((), (), 10, [], "an empty disk takes what fills it"),
        ((4, 4), (), 2, [], "it fits beside the others"),
        ((4, 4), (), 3, [0], "the oldest is enough"),
        ((1, 4, 4), (), 6, [0, 1], "the oldest alone is not"),
        ((1, 1, 1, 1), (), 1, [0], "there are as many as may be"),
        ((4, 4), (0,), 3, [1], "what is in use stays"),
        ((9, 9), (), 1, [0], "the quota was lowered: one goes"),
    ],
)
def test_the_oldest_make_room(
    tiny_package: Package, sizes: tuple[int, ...], busy: tuple[int, ...], new: int, deleted: list[int], why: str
) -> None:
    chosen = to_delete(kept(tiny_package, *sizes, busy=busy), new * MIB, limits())
    assert [int(package.digest) for package in chosen] == deleted, why


def test_what_can_never_be_kept_costs_nobody_his_place(tiny_package: Package) -> None:
    with pytest.raises(RequestTooLarge, match="quota of 10485760 bytes"):
        to_delete(kept(tiny_package, 4, 4), 11 * MIB, limits())


@pytest.mark.parametrize(("sizes", "new"), [((6, 4), 5), ((1, 1, 1, 1), 1)])
def test_where_too_many_are_in_use_it_is_refused_for_now(
    tiny_package: Package, sizes: tuple[int, ...], new: int
) -> None:
    with pytest.raises(StorageUnavailable, match="try again later"):
        to_delete(kept(tiny_package, *sizes, busy=tuple(range(len(sizes)))), new * MIB, limits())


@pytest.mark.parametrize(
    ("sizes", "loaded"), [((), []), ((1, 1, 1), [0, 1, 2]), ((1, 3, 2), [1, 2]), ((1, 1, 6), []), ((6, 1, 1), [1, 2])]
)
def test_the_newest_are_loaded_at_start(tiny_package: Package, sizes: tuple[int, ...], loaded: list[int]) -> None:
    assert [int(package.digest) for package in to_load(kept(tiny_package, *sizes), limits())] == loaded
