"""A cache of things that are costly to build. It is bounded in bytes, and builds each thing once, however many ask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds, which never changes."""

    @property
    def nbytes(self) -> int: ...  # noqa: D102


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """How many things are held, their bytes, and how often one was found, built, or dropped to make room."""

    count: int = 0
    nbytes: int = 0
    hits: int = 0
    builds: int = 0
    evictions: int = 0


class BuildCache(Generic[K, V]):
    """Drops the least recently used first. The newest stays even if it alone exceeds the bound: it is used next."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        # The least recently used first.
        self._built: OrderedDict[K, V] = OrderedDict()
        self._building: dict[K, Future[V]] = {}
        self._nbytes = self._hits = self._builds = self._evictions = 0
        self._lock = Lock()

    @property
    def stats(self) -> CacheStats:
        """A consistent copy of the counters."""
        with self._lock:
            return CacheStats(
                count=len(self._built),
                nbytes=self._nbytes,
                hits=self._hits,
                builds=self._builds,
                evictions=self._evictions,
            )

    def __contains__(self, key: K) -> bool:
        """Whether the thing of this key is built. That counts as no use of it."""
        return key in self._built

    def get(self, key: K, build: Callable[[], V]) -> V:
        """The thing of this key. Waits if another thread is building it; a failure is raised in all that wait."""
        with self._lock:
            found = self._built.get(key)
            if found is not None:
                self._built.move_to_end(key)
                self._hits += 1
                return found
            future = self._building.get(key)
            if mine := future is None:
                future = self._building[key] = Future()
            else:
                self._hits += 1
        try:
            return self._build(key, future, build) if mine else future.result()
        finally:
            # The error of a build refers to this frame, and to what it was built for: only the garbage collector would
            # free them.
            del future

    def make_room(self, nbytes: int) -> None:
        """Drop things until another of `nbytes` bytes fits, so that it need not be built beside what it replaces."""
        with self._lock:
            self._evict(self._limit - nbytes, 0)

    def discard(self, condition: Callable[[K], bool]) -> None:
        """Drop all whose key fulfils `condition`, even while they are being built. Whoever uses one keeps it."""
        with self._lock:
            for key in [key for key in self._built if condition(key)]:
                self._nbytes -= self._built.pop(key).nbytes
            for key in [key for key in self._building if condition(key)]:
                del self._building[key]

    def _build(self, key: K, mine: Future[V], build: Callable[[], V]) -> V:
        try:
            value = build()
        except BaseException as error:
            with self._lock:
                if self._building.get(key) is mine:
                    del self._building[key]
            mine.set_exception(error)
            # As above.
            del mine
            raise
        with self._lock:
            self._builds += 1
            # If it was discarded meanwhile, those who wait get it, but it is not kept.
            if self._building.get(key) is mine:
                del self._building[key]
                self._built[key] = value
                self._nbytes += value.nbytes
                self._evict(self._limit, 1)
        mine.set_result(value)
        return value

    def _evict(self, limit: int, spared: int) -> None:
        while self._nbytes > limit and len(self._built) > spared:
            self._nbytes -= self._built.popitem(last=False)[1].nbytes
            self._evictions += 1
