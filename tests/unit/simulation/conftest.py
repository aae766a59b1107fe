"""The tiny network with times as of a real one, so that simulations need no measurement."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collabd.catalog.package.package import Package
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from collabd.simulation.workload import Workload

WHOLE_MS = 20.0

Loads = Callable[..., Workload]


def even_profile(package: Package, *, whole_ms: float, codec_ms: float) -> Profile:
    """The whole network takes `whole_ms`, and the work before a cut grows evenly with its position."""
    manifest = package.manifest
    layers = len(manifest.layers)
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
                tuple(CodecTimes(figures.codec, codec_ms, codec_ms) for figures in cut.codecs),
            )
            for cut in manifest.cuts
        ),
    )


@pytest.fixture(scope="session")
def tiny_profile(tiny_package: Package) -> Profile:
    """20 ms for the whole network."""
    return even_profile(tiny_package, whole_ms=WHOLE_MS, codec_ms=0.02)


@pytest.fixture
def workload(tiny_package: Package, tiny_profile: Profile) -> Loads:
    """Makes a workload of so many requests; all on the device takes 160 ms."""

    def make(requests: int, seed: int = 0, slowdown: float = 8.0) -> Workload:
        return Workload(tiny_package, tiny_profile, slowdown=slowdown, requests=requests, seed=seed)

    return make
