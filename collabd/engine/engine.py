"""The engine: any part of any network that was added, by tensor names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from .cache import BuildCache
from .errors import EngineError
from .memory import steady_heap
from .session import Part, Session
from .stop import Stop


class SubgraphSource(Protocol):
    """A network that can be cut; raises ValueError if the outputs cannot be computed from the inputs."""

    def subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> Part: ...  # noqa: D102


# The network itself and not its key: a session of a network that was replaced must never answer for the new one.
_Identity = tuple[SubgraphSource, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """Sessions held and their own bytes (not the weights they share), and how often one was found, built, evicted."""

    sessions: int
    bytes: int
    hits: int
    builds: int
    evictions: int


class Engine:
    """Runs parts of networks, each in a session that is built when first asked for. Safe for any number of threads."""

    def __init__(self, *, threads: int, cache_bytes: int) -> None:
        """Let one run use `threads` cores, and keep sessions of `cache_bytes` in all."""
        steady_heap()
        self.threads = threads
        self._networks: dict[str, SubgraphSource] = {}
        self._sessions: BuildCache[_Identity, Session] = BuildCache(cache_bytes)

    @property
    def stats(self) -> EngineStats:
        """The sessions' figures now."""
        stats = self._sessions.stats
        return EngineStats(
            sessions=stats.count, bytes=stats.nbytes, hits=stats.hits, builds=stats.builds, evictions=stats.evictions
        )

    def add(self, key: str, network: SubgraphSource) -> None:
        """Know `network` as `key`; one known so before is forgotten with its sessions."""
        former = self._networks.get(key)
        self._networks[key] = network
        self._forget(former)

    def remove(self, key: str) -> None:
        """Forget a network and its sessions; runs under way end well."""
        self._forget(self._networks.pop(key, None))

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Build the session for this part now, so that `run` finds it; EngineError if there is no such part."""
        self._session(key, inputs, outputs)

    def run(
        self, key: str, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], *, stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        """Compute the tensors `outputs` of network `key` from `feeds`; blocks until done, or until it is stopped.

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
        names = tuple(sorted(inputs)), tuple(sorted(outputs))
        session = self._sessions.get((network, *names), partial(self._built, network, *names))
        if self._networks.get(key) is not network:
            # Removed while we built: what `remove` could not see must not stay.
            self._forget(network)
        return session

    def _built(self, network: SubgraphSource, inputs: Sequence[str], outputs: Sequence[str]) -> Session:
        try:
            part = network.subgraph(inputs, outputs)
        except ValueError as error:
            raise EngineError(str(error)) from error
        return Session(part, self.threads)
