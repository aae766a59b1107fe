"""The tiny network with times as of a real one, so that simulations need no measurement."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
import pytest

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile, VariantTimes
from collabd.simulation.workload import Workload

WHOLE_MS = 20.0

Loads = Callable[..., Workload]


def even_profile(package: Package, *, whole_ms: float, codec_ms: float, runs_int8: bool = True) -> Profile:
    """The whole network takes `whole_ms`, and the work before a cut grows evenly with its position.

    In int8, if the package has that and the machine runs it, all takes a quarter.
    """
    manifest = package.manifest
    layers = len(manifest.layers)
    in_int8 = runs_int8 and Precision.INT8 in manifest.precisions
    quarter_ms = whole_ms / 4
    return Profile(
        digest=package.digest,
        machine=Machine("none", 1, "0", "0"),
        threads=1,
        prep_ms=0.1,
        whole_ms=whole_ms,
        spread=1.0,
        cuts=tuple(
            CutTimes(
                cut.name,
                whole_ms * cut.head_layers / layers,
                whole_ms * (1 - cut.head_layers / layers),
                tuple(CodecTimes(codec, codec_ms, codec_ms) for codec in {each.codec: None for each in cut.codecs}),
                VariantTimes(quarter_ms * cut.head_layers / layers, quarter_ms * (1 - cut.head_layers / layers))
                if in_int8
                else None,
            )
            for cut in manifest.cuts
        ),
        whole_int8_ms=quarter_ms if in_int8 else None,
    )


@pytest.fixture(scope="session")
def tiny_profile(tiny_package: Package) -> Profile:
    """20 ms for the whole network."""
    return even_profile(tiny_package, whole_ms=WHOLE_MS, codec_ms=0.02)


@pytest.fixture(scope="session")
def int8_profile(int8_package: Package) -> Profile:
    """20 ms for the whole network, and in int8 half of each time."""
    profile = even_profile(int8_package, whole_ms=WHOLE_MS, codec_ms=0.02)
    cuts = tuple(
        msgspec.structs.replace(
            times,
            codecs=tuple({each.codec: each for each in times.codecs}.values()),
            int8=VariantTimes(times.head_ms / 2, times.tail_ms / 2),
        )
        for times in profile.cuts
    )
    return msgspec.structs.replace(profile, cuts=cuts, whole_int8_ms=WHOLE_MS / 2)


@pytest.fixture
def workload(tiny_package: Package, tiny_profile: Profile) -> Loads:
    """Makes a workload of so many requests; all on the device takes 160 ms."""

    def make(requests: int, seed: int = 0, slowdown: float = 8.0, without: Collection[str] = ()) -> Workload:
        return Workload(tiny_package, tiny_profile, slowdown=slowdown, requests=requests, seed=seed, without=without)

    return make
