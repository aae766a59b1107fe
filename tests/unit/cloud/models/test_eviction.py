from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.errors import RequestTooLarge, StorageUnavailable
from collabd.catalog.package.package import Package
from collabd.cloud.models.eviction import PushedPackage, to_delete, to_load, to_unload
from collabd.config import PackageSettings

MIB = 2**20


def kept(package: Package, *mib: int, busy: tuple[int, ...] = (), whose: Sequence[str] = ()) -> list[PushedPackage]:
    """Of so many MiB each; the first was used least recently. `whose`: a word of devices each, else all are of "a"."""
    return [
        PushedPackage(
            package=Package(Path(str(at)), package.manifest, str(at)),
            nbytes=size * MIB,
            devices=frozenset((whose or ["a"] * len(mib))[at].split()),
            busy=at in busy,
        )
        for at, size in enumerate(mib)
    ]


def new(mib: int, device: str = "a") -> PushedPackage:
    return PushedPackage(package=None, nbytes=mib * MIB, devices=frozenset({device}), busy=True)


def names(packages: Sequence[Package]) -> list[int]:
    return [int(package.digest) for package in packages]


def limits(**changes: Any) -> PackageSettings:
    return PackageSettings(**({"max_packages": 4, "quota_mb": 16, "loaded_mb": 10} | changes))


@pytest.mark.parametrize(
    ("sizes", "busy", "mib", "deleted", "why"),
    [
        ((), (), 16, [], "an empty disk takes what fills it"),
        ((4, 4), (), 4, [], "it fits beside the others"),
        ((4, 4), (), 5, [0], "the oldest is enough"),
        ((1, 4, 4), (), 8, [0, 1], "the oldest alone is not"),
        ((1, 1, 1), (), 1, [0], "there are as many as one device may have"),
        ((4, 4), (0,), 5, [1], "what is in use stays"),
        ((9, 9), (), 1, [0], "the quota was lowered: one goes"),
        ((1,), (), 14, [0], "one that is above a device's share is all that it has"),
    ],
)
def test_the_oldest_make_room(
    tiny_package: Package, sizes: tuple[int, ...], busy: tuple[int, ...], mib: int, deleted: list[int], why: str
) -> None:
    chosen = to_delete(kept(tiny_package, *sizes, busy=busy), new(mib), limits())
    assert names(chosen) == deleted, why


@pytest.mark.parametrize(
    ("whose", "device", "deleted", "why"),
    [
        ("b a a a", "a", [1], "who has most gives it, and not who was there first"),
        ("a a b b", "b", [2], "of equals who wants the room gives it"),
        ("a a b c", "c", [3], "whoever wants it"),
        ("a b c d", "e", [0], "where all have as much, the oldest goes"),
        ("a,b a,b a c", "a", [2], "what another has too is as safe as what is the other's"),
        ("a - b a", "a", [1], "what is nobody's goes first"),
    ],
)
def test_who_has_most_gives_room(tiny_package: Package, whose: str, device: str, deleted: list[int], why: str) -> None:
    owners = [owners.replace(",", " ").replace("-", "") for owners in whose.split()]
    packages = kept(tiny_package, 1, 1, 1, 1, whose=owners)
    assert names(to_delete(packages, new(1, device), limits())) == deleted, why


def test_bytes_count_as_packages_do(tiny_package: Package) -> None:
    packages = kept(tiny_package, 9, 1, 1, whose="abb")
    assert names(to_delete(packages, new(6, "c"), limits())) == [0]


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=12))
def test_however_much_one_device_pushes_another_keeps_what_it_has_while_that_is_less(
    tiny_package: Package, pushes: list[tuple[int, bool]]
) -> None:
    """One package of 1 MiB is another's; the pushes are all of one device, which uses the other's, too."""
    manifest = tiny_package.manifest
    theirs = PushedPackage(
        package=Package(Path("theirs"), manifest, "theirs"), nbytes=MIB, devices=frozenset({"other"})
    )
    packages = [theirs]
    for at, (mib, uses) in enumerate(pushes):
        pushed = PushedPackage(
            package=Package(Path(str(at)), manifest, str(at)), nbytes=mib * MIB, devices=frozenset({"one"})
        )
        if uses:
            packages[packages.index(theirs)] = theirs = replace(theirs, devices=frozenset({"one", "other"}))
        gone = to_delete(packages, replace(pushed, package=None, busy=True), limits())
        packages = [each for each in packages if each.package not in gone]
        packages.append(pushed)
        assert theirs in packages
        assert len(packages) <= 4
        assert sum(each.nbytes for each in packages) <= 16 * MIB


def test_what_can_never_be_kept_costs_nobody_his_place(tiny_package: Package) -> None:
    with pytest.raises(RequestTooLarge, match="quota of 16777216 bytes"):
        to_delete(kept(tiny_package, 4, 4), new(17), limits())


@pytest.mark.parametrize(("sizes", "mib"), [((6, 6), 5), ((1, 1, 1), 1)])
def test_where_too_many_are_in_use_it_is_refused_for_now(
    tiny_package: Package, sizes: tuple[int, ...], mib: int
) -> None:
    with pytest.raises(StorageUnavailable, match="try again later"):
        to_delete(kept(tiny_package, *sizes, busy=tuple(range(len(sizes)))), new(mib), limits())


@pytest.mark.parametrize(
    ("whose", "busy", "unloaded"),
    [
        ("aaa", (2,), [0]),
        ("baa", (2,), [1]),
        ("bca", (2,), [0]),
        ("aba", (0, 2), [1]),
        ("aaa", (0, 1, 2), []),
    ],
)
def test_who_has_most_in_memory_gives_room(
    tiny_package: Package, whose: str, busy: tuple[int, ...], unloaded: list[int]
) -> None:
    loaded = kept(tiny_package, 4, 4, 4, busy=busy, whose=whose)
    assert names(to_unload(loaded, frozenset({"a"}), limits())) == unloaded


@pytest.mark.parametrize(
    ("sizes", "loaded"), [((), []), ((1, 1, 1), [0, 1, 2]), ((1, 3, 2), [1, 2]), ((1, 1, 6), []), ((6, 1, 1), [1, 2])]
)
def test_the_newest_are_loaded_at_start(tiny_package: Package, sizes: tuple[int, ...], loaded: list[int]) -> None:
    assert names(to_load(kept(tiny_package, *sizes), limits())) == loaded
