"""The tiny network with times as of a real one, so that simulations need no measurement."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collabd.catalog.package.package import Package
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from collabd.simulation.workload import Workload

WHOLE_MS = 20.0

Loads = Callable[..., Workload]


@pytest.fixture(scope="session")
def tiny_profile(tiny_package: Package) -> Profile:
    """20 ms for the whole network; the work before a cut grows evenly with its position."""
    cuts = tiny_package.manifest.cuts
    layers = len(tiny_package.manifest.layers)
    return Profile(
        digest=tiny_package.digest,
        machine=Machine("none", 1, "0", "0"),
        threads=1,
        prep_ms=0.1,
        whole_ms=WHOLE_MS,
        spread=1.0,
        cuts=tuple(
            CutTimes(
                cut.name,
                WHOLE_MS * cut.head_layers / layers,
                WHOLE_MS * (1 - cut.head_layers / layers),
                tuple(CodecTimes(figures.codec, 0.02, 0.02) for figures in cut.codecs),
            )
            for cut in cuts
        ),
    )


@pytest.fixture
def workload(tiny_package: Package, tiny_profile: Profile) -> Loads:
    """Makes a workload of so many requests; all on the device takes 160 ms."""

    def make(requests: int, seed: int = 0, slowdown: float = 8.0) -> Workload:
        return Workload(tiny_package, tiny_profile, slowdown=slowdown, requests=requests, seed=seed)

    return make
