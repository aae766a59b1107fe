"""A profile in processor time, which other work of this machine does not lengthen."""

from __future__ import annotations

import time

from collabd.catalog.package.package import Package
from collabd.engine import Engine, keys_of
from collabd.profiling.profile import Profile
from collabd.profiling.timing import measure


def cpu_times(package: Package) -> Profile:
    """What each part of the package takes on one thread of this machine."""
    engine, networks = Engine(threads=1, cache_bytes=1 << 28), package.networks()
    for precision, key in keys_of(package.digest, networks).items():
        engine.add(key, networks[precision])
    return measure(package, networks, engine, clock=time.thread_time)
