"""Which of the wanted providers run a package on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from collab_sdk.vocabulary import Precision, Provider, TaskKind
from collabd.catalog.package.manifest import Agreement, kind_of
from collabd.catalog.package.package import Package
from collabd.engine import CPU_ALONE, reduced_by, why_missing
from collabd.providers.apart import count_apart, try_apart

log = logging.getLogger(__name__)

# By provider, directory of the package and threads: why it cannot be run; empty: it can.
TryOut: TypeAlias = Callable[[Provider, Path, int], str]


class CountIn(Protocol):
    """As `count_apart`."""

    def __call__(  # noqa: D102
        self, provider: Provider, directory: Path, threads: int, *, precision: Precision
    ) -> Agreement | str: ...


class Reduced(NamedTuple):
    """A precision that a provider makes of an fp32 graph, and how many answers stayed when it was tried."""

    provider: Provider
    precision: Precision
    agreement: Agreement


class Providers:
    """The providers of [engine] providers, in order of preference. The CPU's provider is the last resort.

    Only fp32 graphs run on another: others round int8 differently, and its fidelity was measured with the CPU's.
    """

    def __init__(
        self,
        wanted: Sequence[Provider] = CPU_ALONE,
        *,
        threads: int = 1,
        try_out: TryOut = try_apart,
        count_in: CountIn = count_apart,
        reduced_by: Callable[[Provider], Precision | None] = reduced_by,
    ) -> None:
        """`threads`: how many a run may use in a trial. `reduced_by`: what a provider makes of fp32 graphs here."""
        before_cpu = [*wanted, Provider.CPU][: [*wanted, Provider.CPU].index(Provider.CPU)]
        reasons = {provider: why_missing(provider) for provider in dict.fromkeys(before_cpu)}
        # Those that this runtime does not have, and why.
        self.missing: Mapping[Provider, str] = {each: reason for each, reason in reasons.items() if reason}
        self._there = [provider for provider, reason in reasons.items() if not reason]
        self._threads = threads
        self._try_out = try_out
        self._count_in = count_in
        self._reduced_by = reduced_by
        # By the digest of a package.
        self._reduced: dict[str, Reduced | None] = {}
        # By the digest of a package: what was found out about each provider.
        self._found: dict[str, dict[Provider, str]] = {}
        for provider, reason in self.missing.items():
            log.warning("%s is not used: %s", provider, reason)

    def of(self, package: Package, precision: Precision = Precision.FP32) -> tuple[Provider, ...]:
        """Those that shall run a graph of this package, the best first. Blocks while it is tried, which is once."""
        if precision != Precision.FP32:
            return CPU_ALONE  # of a reduced one: see `reduced`
        found = self._found.setdefault(package.digest, {})
        for provider in self._there:
            if provider not in found:
                found[provider] = self._tried(provider, package)
        return (*(provider for provider in self._there if not found[provider]), Provider.CPU)

    def reduced(self, package: Package) -> Reduced | None:
        """The reduced precision of the best provider that has one, and runs the package as it should in fp32.

        None: there is none. Nothing tells whether the answers of a network of tensors agree, so it gets none either.
        Blocks while it is tried, which is once.
        """
        if kind_of(package.manifest.task) == TaskKind.TENSORS:
            return None
        if package.digest not in self._reduced:
            self._reduced[package.digest] = next(self._reductions(package), None)
        return self._reduced[package.digest]

    def _reductions(self, package: Package) -> Iterator[Reduced]:
        name = package.manifest.name
        for provider in self.of(package)[:-1]:
            if (precision := self._reduced_by(provider)) is None:
                continue
            log.info("trying %s with %s in %s", provider, name, precision)
            counted = self._count_in(provider, package.path, self._threads, precision=precision)
            if isinstance(counted, Agreement):
                yield Reduced(provider, precision, counted)
            else:
                log.warning("%s is not offered in %s on %s: %s", name, precision, provider, counted)

    def refused(self, digest: str) -> Mapping[Provider, str]:
        """Those whose trial with this package failed, and why."""
        return {provider: reason for provider, reason in self._found.get(digest, {}).items() if reason}

    def _tried(self, provider: Provider, package: Package) -> str:
        name = package.manifest.name
        log.info("trying %s with %s", provider, name)
        if reason := self._try_out(provider, package.path, self._threads):
            log.warning("%s does not run on %s: %s", name, provider, reason)
        return reason
