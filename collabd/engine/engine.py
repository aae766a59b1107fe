"""The engine: runs any part, named by its tensors, of any network that was added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from collabd.heap import steady_heap

from .cache import BuildCache
from .errors import EngineError
from .session import Part, Session, own_bytes
from .stop import Stop


class SubgraphSource(Protocol):
    """A network that can be cut; raises ValueError if the outputs cannot be computed from the inputs."""

    def subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> Part: ...  # noqa: D102


# The network itself, not its key: a session of a network that was replaced must never answer for the new one. Then the
# threads, the inputs and the outputs.
_Identity = tuple[SubgraphSource, int, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """Sessions held, their own bytes (without shared weights), and how often one was found, built and evicted."""

    sessions: int
    bytes: int
    hits: int
    builds: int
    evictions: int


class Engine:
    """Runs parts of networks, each in a session that is built at its first use. Safe for any number of threads."""

    def __init__(self, *, threads: int, cache_bytes: int) -> None:
        """A run uses `threads` cores, unless `use_threads` says otherwise; sessions have `cache_bytes` in all."""
        steady_heap()
        self.threads = threads
        self.cache_bytes = cache_bytes
        self._networks: dict[str, SubgraphSource] = {}
        # For the networks that do not run on `threads` cores.
        self._threads_of: dict[str, int] = {}
        self._sessions: BuildCache[_Identity, Session] = BuildCache(cache_bytes)

    @property
    def stats(self) -> EngineStats:
        """The sessions' figures now."""
        stats = self._sessions.stats
        return EngineStats(
            sessions=stats.count, bytes=stats.nbytes, hits=stats.hits, builds=stats.builds, evictions=stats.evictions
        )

    def add(self, key: str, network: SubgraphSource) -> None:
        """Add `network` as `key`. The former network of this key is forgotten, with its sessions."""
        former = self._networks.get(key)
        self._networks[key] = network
        self._forget(former)

    def remove(self, key: str) -> None:
        """Forget a network and its sessions. Runs under way finish."""
        self._threads_of.pop(key, None)
        self._forget(self._networks.pop(key, None))

    def use_threads(self, key: str, threads: int) -> None:
        """Run network `key` on `threads` cores from now on. Its sessions for another number are dropped."""
        network = self._networks[key]
        self._threads_of[key] = threads
        self._sessions.discard(lambda identity: identity[0] is network and identity[1] != threads)

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Build the session of this part now, so that `run` finds it; EngineError if there is no such part."""
        self._session(key, inputs, outputs)

    def has(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """Whether the session of this part is built. That counts as no use of it."""
        network = self._networks.get(key)
        return network is not None and self._identity(key, network, inputs, outputs) in self._sessions

    def run(
        self, key: str, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], *, stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        """Compute the tensors `outputs` of network `key` from `feeds`. Blocks until it is done or stopped.

        EngineError if the network is unknown, if `feeds` are not exactly what the outputs need in name, dtype and
        shape, or if the runtime fails; Stopped if `stop` was requested.
        """
        return self._session(key, feeds.keys(), outputs).run(feeds, outputs, stop)

    def _forget(self, network: SubgraphSource | None) -> None:
        if network not in self._networks.values():
            self._sessions.discard(lambda identity: identity[0] is network)

    def _session(self, key: str, inputs: Iterable[str], outputs: Sequence[str]) -> Session:
        network = self._networks.get(key)
        if network is None:
            raise EngineError(f"no network {key!r} was added")
        identity = self._identity(key, network, inputs, outputs)
        session = self._sessions.get(identity, partial(self._built, identity))
        if self._networks.get(key) is not network:
            # It was removed while its session was being built, which `remove` could not see.
            self._forget(network)
        return session

    def _identity(  # noqa: PLR0917  called for each run
        self, key: str, network: SubgraphSource, inputs: Iterable[str], outputs: Sequence[str]
    ) -> _Identity:
        return network, self._threads_of.get(key, self.threads), tuple(sorted(inputs)), tuple(sorted(outputs))

    def _built(self, identity: _Identity) -> Session:
        network, threads, inputs, outputs = identity
        try:
            part = network.subgraph(inputs, outputs)
        except ValueError as error:
            raise EngineError(str(error)) from error
        self._sessions.make_room(own_bytes(part))
        return Session(part, threads)
