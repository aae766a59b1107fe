"""Sees the providers that were wanted and are not used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from collabd.engine import Engine
from collabd.health.conditions import Code, Sighting
from collabd.providers.choice import Providers
from collabd.providers.reason import short


class Served(NamedTuple):
    """A loaded model. `key`: what the engine calls its fp32 graph."""

    name: str
    digest: str
    key: str


def providers_seen(providers: Providers, engine: Engine, served: Iterable[Served]) -> Iterator[Sighting]:
    """Those that this runtime lacks, and for each model those that it cannot have or that failed it."""
    for provider, reason in providers.missing.items():
        yield Sighting(code=Code.PROVIDER_FAILED, about=provider.value, what=f"{provider} cannot be used: {reason}")
    for name, digest, key in served:
        for provider, reason in providers.refused(digest).items():
            what = f"{name} does not run on {provider}: {reason}"
            yield Sighting(code=Code.PROVIDER_FAILED, about=f"{name} on {provider}", what=what)
        for provider, reason in engine.given_up(key).items():
            what = f"{name} no longer runs on {provider}: {short(reason)}"
            yield Sighting(code=Code.PROVIDER_FAILED, about=f"{name} on {provider}", what=what)
