"""The engine: runs any part, named by its tensors, of any network that was added."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from collab_sdk.vocabulary import Precision, Provider
from collabd.heap import steady_heap

from .cache import BuildCache
from .errors import EngineError, ProviderFailed
from .provider import CPU_ALONE
from .session import Part, Session, own_bytes
from .stop import Stop


class SubgraphSource(Protocol):
    """A network that can be cut; raises ValueError if the outputs cannot be computed from the inputs."""

    def subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> Part: ...  # noqa: D102


class NewSession(Protocol):
    """Builds a session, as `Session` does."""

    def __call__(self, part: Part, threads: int, provider: Provider, *, precision: Precision) -> Session: ...  # noqa: D102


class _Added(NamedTuple):
    """What the engine runs by one key. `precision`: one that its provider makes of the network; fp32: none."""

    network: SubgraphSource
    precision: Precision


# The network itself, not its key: a session of a network that was replaced must never answer for the new one. Then the
# threads, the provider, the inputs and the outputs.
_Identity = tuple[_Added, int, Provider, tuple[str, ...], tuple[str, ...]]
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """Sessions held, their own bytes (without shared weights), and how often one was found, built and evicted."""

    sessions: int
    bytes: int
    hits: int
    builds: int
    evictions: int


class Engine:
    """Runs parts of networks, each in a session that is built at its first use. Safe for any number of threads.

    A provider that fails where the next one does not is given up for that network, and nobody notices but by the time
    that it takes.
    """

    def __init__(
        self,
        *,
        threads: int,
        cache_bytes: int,
        new_session: NewSession = Session,
    ) -> None:
        """A run uses `threads` cores, unless `use_threads` says otherwise; sessions have `cache_bytes` in all."""
        steady_heap()
        self.threads = threads
        self.cache_bytes = cache_bytes
        self._added: dict[str, _Added] = {}
        # For the networks that do not run on `threads` cores.
        self._threads_of: dict[str, int] = {}
        # For the networks that do not run on the CPU's provider alone: those to be used, the best first.
        self._providers_of: dict[str, tuple[Provider, ...]] = {}
        # Why those were given up that are no longer used.
        self._given_up: dict[str, dict[Provider, str]] = {}
        self._giving_up = Lock()
        self._new_session = new_session
        self._sessions: BuildCache[_Identity, Session] = BuildCache(cache_bytes)
        # A session takes three times its bytes while it is built (EfficientNet-Lite0); little boards have that once.
        self._one_build = Lock()

    @property
    def stats(self) -> EngineStats:
        """The sessions' figures now."""
        stats = self._sessions.stats
        return EngineStats(
            sessions=stats.count, bytes=stats.nbytes, hits=stats.hits, builds=stats.builds, evictions=stats.evictions
        )

    def add(self, key: str, network: SubgraphSource, *, providers: Sequence[Provider] = CPU_ALONE) -> None:
        """Add `network` as `key`. The former network of this key is forgotten, with its sessions.

        `providers`: what shall run it, the best first. The CPU's is the last in any case.
        """
        self._add(key, _Added(network, Precision.FP32), tuple(dict.fromkeys((*providers, Provider.CPU))))

    def add_reduced(self, key: str, network: SubgraphSource, *, provider: Provider, precision: Precision) -> None:
        """Add `network`, which is in fp32, as `key`, to be computed in a precision that this provider makes of it.

        No other does that. So its failures are the caller's: nothing computes otherwise in silence.
        """
        self._add(key, _Added(network, precision), (provider,))

    def _add(self, key: str, added: _Added, providers: tuple[Provider, ...]) -> None:
        former = self._added.get(key)
        self._added[key] = added
        self._given_up.pop(key, None)
        self._providers_of[key] = providers
        self._forget(former)

    def providers(self, key: str) -> tuple[Provider, ...]:
        """The providers that may run this network, the one in use first."""
        return self._providers_of.get(key, CPU_ALONE)

    def given_up(self, key: str) -> Mapping[Provider, str]:
        """The providers that failed to run this network, and why."""
        return dict(self._given_up.get(key, {}))

    def knows(self, key: str) -> bool:
        """Whether a network was added as `key`."""
        return key in self._added

    def remove(self, key: str) -> None:
        """Forget a network and its sessions. Runs under way finish."""
        for facts in (self._threads_of, self._providers_of, self._given_up):
            facts.pop(key, None)
        self._forget(self._added.pop(key, None))

    def use_threads(self, key: str, threads: int) -> None:
        """Run network `key` on `threads` cores from now on. Its sessions for another number are dropped."""
        added = self._added[key]
        self._threads_of[key] = threads
        self._sessions.discard(lambda identity: identity[0] == added and identity[1] != threads)

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str], *, threads: int | None = None) -> None:
        """Build the session of this part now, so that `run` finds it; EngineError if there is no such part."""
        self._on_a_provider(key, lambda provider: self._session(key, inputs, outputs, threads, provider))

    def has(self, key: str, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """Whether the session of this part is built. That counts as no use of it."""
        added = self._added.get(key)
        return (
            added is not None
            and self._identity(key, added, inputs, outputs, None, self.providers(key)[0]) in self._sessions
        )

    def run(
        self,
        key: str,
        feeds: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        *,
        stop: Stop | None = None,
        threads: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Compute the tensors `outputs` of network `key` from `feeds`. Blocks until it is done or stopped.

        `threads`: the cores that this run may use, if not those that the network has. Each number of them takes a
        session of its own.

        EngineError if the network is unknown, if `feeds` are not exactly what the outputs need in name, dtype and
        shape, or if the runtime fails; Stopped if `stop` was requested.
        """
        return self._on_a_provider(
            key, lambda provider: self._session(key, feeds.keys(), outputs, threads, provider).run(feeds, outputs, stop)
        )

    @staticmethod
    def clock(threads: int) -> Callable[[], float]:
        """Seconds that tell what a run on so many cores costs, asked in the thread that runs it.

        On one core that is the thread's own processor time, which other work of the machine does not lengthen.
        """
        return time.thread_time if threads == 1 else time.perf_counter

    def _on_a_provider(self, key: str, work: Callable[[Provider], _T]) -> _T:
        """What `work` returns with the first provider that does not fail."""
        *better, last = self.providers(key)
        failed: dict[Provider, str] = {}
        for provider in better:
            try:
                result = work(provider)
            except ProviderFailed as error:
                failed[provider] = str(error)
            else:
                break
        else:
            result = work(last)
        # Only now is it known that the work itself was not to blame.
        for provider, reason in failed.items():
            self._give_up(key, provider, reason)
        return result

    def _give_up(self, key: str, provider: Provider, reason: str) -> None:
        with self._giving_up:
            added, there = self._added.get(key), self.providers(key)
            if added is None or provider not in there:
                return
            self._providers_of[key] = tuple(other for other in there if other != provider)
            self._given_up.setdefault(key, {})[provider] = reason
        self._sessions.discard(lambda identity: identity[0] == added and identity[2] == provider)

    def _forget(self, added: _Added | None) -> None:
        if added not in self._added.values():
            self._sessions.discard(lambda identity: identity[0] == added)

    def _session(  # noqa: PLR0917  called for each run
        self, key: str, inputs: Iterable[str], outputs: Sequence[str], threads: int | None, provider: Provider
    ) -> Session:
        added = self._added.get(key)
        if added is None:
            raise EngineError(f"no network {key!r} was added")
        identity = self._identity(key, added, inputs, outputs, threads, provider)
        session = self._sessions.get(identity, partial(self._built, identity))
        if self._added.get(key) is not added:
            # It was removed while its session was being built, which `remove` could not see.
            self._forget(added)
        return session

    def _identity(  # noqa: PLR0917  called for each run
        self,
        key: str,
        added: _Added,
        inputs: Iterable[str],
        outputs: Sequence[str],
        threads: int | None,
        provider: Provider,
    ) -> _Identity:
        cores = threads or self._threads_of.get(key, self.threads)
        return added, cores, provider, tuple(sorted(inputs)), tuple(sorted(outputs))

    def _built(self, identity: _Identity) -> Session:
        (network, precision), threads, provider, inputs, outputs = identity
        with self._one_build:
            try:
                part = network.subgraph(inputs, outputs)
            except ValueError as error:
                raise EngineError(str(error)) from error
            self._sessions.make_room(own_bytes(part, provider))
            return self._new_session(part, threads, provider, precision=precision)
