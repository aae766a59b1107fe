from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event

import pytest

from collabd.engine.cache import BuildCache, CacheStats
from tests.patience import PATIENCE_S, until


@dataclass(frozen=True)
class Thing:
    nbytes: int


class Features:
    """What a thing is built for."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def test_one_that_is_larger_than_the_bound_stays_until_the_next_comes() -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    cache.get("large", lambda: Thing(50))
    assert cache.stats == CacheStats(count=1, nbytes=50, builds=1)
    cache.get("small", lambda: Thing(4))
    assert cache.stats == CacheStats(count=1, nbytes=4, builds=2, evictions=1)


def test_room_can_be_made_before_something_is_built() -> None:
    cache: BuildCache[int, Thing] = BuildCache(10)
    for key in range(5):
        cache.get(key, lambda: Thing(2))
    cache.make_room(3)
    assert cache.stats == CacheStats(count=3, nbytes=6, builds=5, evictions=2)
    cache.make_room(50)
    assert cache.stats.count == 0


def test_as_many_go_as_must() -> None:
    cache: BuildCache[int, Thing] = BuildCache(10)
    for key in range(5):
        cache.get(key, lambda: Thing(2))
    cache.get(9, lambda: Thing(7))
    assert cache.stats == CacheStats(count=2, nbytes=9, builds=6, evictions=4)
    cache.get(4, lambda: Thing(2))
    assert cache.stats.hits == 1


def test_a_failure_reaches_all_who_wait_and_the_next_may_try_again(pool: ThreadPoolExecutor) -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    building, waiting = Event(), Event()

    def fail() -> Thing:
        building.set()
        assert waiting.wait(PATIENCE_S)
        raise LookupError("no such thing")

    first = pool.submit(cache.get, "a", fail)
    assert building.wait(PATIENCE_S)
    others = [pool.submit(cache.get, "a", fail) for _ in range(3)]
    until(lambda: cache.stats.hits == 3)
    waiting.set()
    for future in (first, *others):
        with pytest.raises(LookupError):
            future.result(PATIENCE_S)
    assert cache.get("a", lambda: Thing(1)) == Thing(1)


def test_what_could_not_be_built_is_freed_without_the_garbage_collector() -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    features = Features()
    freed = weakref.ref(features)

    def fail(features: Features) -> Thing:
        raise LookupError(f"nothing can be built of {features}")

    gc.disable()
    try:
        with suppress(LookupError):
            cache.get("it", partial(fail, features))
        del features
        assert freed() is None
    finally:
        gc.enable()


def test_what_is_discarded_while_it_is_built_is_given_out_but_not_kept(pool: ThreadPoolExecutor) -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    building, discarded = Event(), Event()

    def build() -> Thing:
        building.set()
        assert discarded.wait(PATIENCE_S)
        return Thing(1)

    first = pool.submit(cache.get, "a", build)
    assert building.wait(PATIENCE_S)
    cache.discard(lambda key: key == "a")
    assert cache.get("a", lambda: Thing(2)) == Thing(2)
    discarded.set()
    assert first.result(PATIENCE_S) == Thing(1)
    assert cache.get("a", lambda: Thing(3)) == Thing(2)
    assert (cache.stats.count, cache.stats.nbytes) == (1, 2)


def test_building_one_does_not_block_another(pool: ThreadPoolExecutor) -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    building, done = Event(), Event()

    def build() -> Thing:
        building.set()
        assert done.wait(PATIENCE_S)
        return Thing(1)

    slow = pool.submit(cache.get, "slow", build)
    assert building.wait(PATIENCE_S)
    assert cache.get("quick", lambda: Thing(20)) == Thing(20)
    done.set()
    assert slow.result(PATIENCE_S) == Thing(1)
    # The slow one was being built when the quick one filled the cache; now it is the newest.
    assert (cache.stats.count, cache.stats.nbytes) == (1, 1)


def test_age_counts_from_the_end_of_the_build(pool: ThreadPoolExecutor) -> None:
    cache: BuildCache[str, Thing] = BuildCache(10)
    building, done = Event(), Event()

    def build() -> Thing:
        building.set()
        assert done.wait(PATIENCE_S)
        return Thing(4)

    slow = pool.submit(cache.get, "slow", build)
    assert building.wait(PATIENCE_S)
    cache.get("before", lambda: Thing(4))
    done.set()
    slow.result(PATIENCE_S)
    cache.get("after", lambda: Thing(4))
    hits = cache.stats.hits
    cache.get("slow", lambda: Thing(4))
    assert cache.stats.hits == hits + 1
