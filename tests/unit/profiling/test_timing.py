from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from collabd.catalog.package import Package
from collabd.engine import Engine
from collabd.profiling import machine
from collabd.profiling.profile import Profile
from collabd.profiling.timing import measure, steps


@pytest.fixture
def engine(tiny_package: Package) -> Engine:
    engine = Engine(threads=1, cache_bytes=1 << 24)
    engine.add(tiny_package.digest, tiny_package.network())
    return engine


@pytest.fixture
def profile(tiny_package: Package, engine: Engine) -> Profile:
    return measure(tiny_package, engine, rounds=2)


def test_a_profile_says_of_what_and_where(tiny_package: Package, engine: Engine, profile: Profile) -> None:
    assert (profile.digest, profile.threads) == (tiny_package.digest, engine.threads)
    assert profile.machine == machine.describe()


def test_every_cut_and_codec_of_the_package_is_measured(tiny_package: Package, profile: Profile) -> None:
    measured = [(cut.cut, [codec.codec for codec in cut.codecs]) for cut in profile.cuts]
    assert measured == [(cut.name, [figures.codec for figures in cut.codecs]) for cut in tiny_package.manifest.cuts]


def test_all_that_runs_takes_time(profile: Profile) -> None:
    def times() -> Iterator[float]:
        yield from (profile.prep_ms, profile.whole_ms)
        for cut in profile.cuts:
            yield cut.tail_ms
            yield from (time for codec in cut.codecs for time in (codec.encode_ms, codec.decode_ms))
        yield from (cut.head_ms for cut in profile.cuts[1:])

    assert min(times()) > 0
    assert profile.spread >= 1


def test_the_image_cut_has_no_head_and_the_whole_network_behind_it(profile: Profile) -> None:
    image = profile.cuts[0]
    assert (image.head_ms, image.tail_ms) == (0.0, profile.whole_ms)


def test_requests_may_run_between_the_steps(tiny_package: Package, engine: Engine) -> None:
    """Each call of the network is a step of its own, so whoever waits waits for one call at most."""
    manifest = tiny_package.manifest
    image = np.zeros((1, 16, 16, 3), np.uint8)
    pieces = steps(tiny_package, engine, rounds=1)
    count = 0
    while True:
        try:
            next(pieces)
        except StopIteration as finished:
            profile: Profile = finished.value
            break
        count += 1
        engine.run(tiny_package.digest, {manifest.input: image}, [manifest.output])
    runs = 2 * len(manifest.cuts)
    assert count > 3 * runs
    assert len(profile.cuts) == len(manifest.cuts)


def test_measuring_can_be_given_up(tiny_package: Package, engine: Engine) -> None:
    pieces = steps(tiny_package, engine)
    next(pieces)
    pieces.close()
    assert measure(tiny_package, engine, rounds=1).digest == tiny_package.digest
