"""A cache of things that are costly to build. It is bounded in bytes, and builds each thing once, however many ask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

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
        self._entries: OrderedDict[K, Future[V]] = OrderedDict()
        self._sizes: dict[K, int] = {}
        self._stats = CacheStats()
        self._lock = Lock()

    @property
    def stats(self) -> CacheStats:
        """A consistent copy of the counters."""
        with self._lock:
            return replace(self._stats, count=len(self._sizes), nbytes=sum(self._sizes.values()))

    def get(self, key: K, build: Callable[[], V]) -> V:
        """The thing of this key. Waits if another thread is building it; a failure is raised in all that wait."""
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            else:
                self._entries.move_to_end(key)
                self._stats = replace(self._stats, hits=self._stats.hits + 1)
        if mine:
            self._build(key, entry, build)
        return entry.result()

    def discard(self, condition: Callable[[K], bool]) -> None:
        """Drop all whose key fulfils `condition`, even while they are being built. Whoever uses one keeps it."""
        with self._lock:
            for key in [key for key in self._entries if condition(key)]:
                del self._entries[key]
                self._sizes.pop(key, None)

    def _build(self, key: K, entry: Future[V], build: Callable[[], V]) -> None:
        try:
            value = build()
        except BaseException as error:
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.set_exception(error)
            raise
        with self._lock:
            self._stats = replace(self._stats, builds=self._stats.builds + 1)
            # If it was discarded meanwhile, those who wait get it, but it is not kept.
            if self._entries.get(key) is entry:
                self._sizes[key] = value.nbytes
                self._entries.move_to_end(key)
                self._evict(key)
        entry.set_result(value)

    def _evict(self, newest: K) -> None:
        for key in [key for key in self._entries if key in self._sizes and key != newest]:
            if sum(self._sizes.values()) <= self._limit:
                return
            del self._entries[key], self._sizes[key]
            self._stats = replace(self._stats, evictions=self._stats.evictions + 1)
