"""Whether a provider gives the answers of the CPU's provider: for the whole network, and cut in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from collab_sdk.vocabulary import Provider
from collabd.catalog.graph.probe_feeds import Feeds, probe_feeds
from collabd.catalog.package.manifest import Detect, Manifest, Segment
from collabd.catalog.package.package import Package
from collabd.engine import Engine, EngineError
from collabd.partition import Network
from collabd.profiling.likeness.likeness import likeness_of
from collabd.profiling.likeness.values import ValueLikeness

# How far a value may be off, as a part of the range of its tensor. Measured: OpenVINO is off by up to 1e-5 in fp32, by
# 3e-3 and more in bf16 (EfficientNet-Lite0, VGG16, NanoDet-g).
_CLOSE = 1e-3
# How much answers must be alike by the measure of their task. A value on an edge may fall to either side.
_ALIKE = 0.99
_FEEDS = 4
_KEY = "tried"


def disagreement(package: Package, provider: Provider, *, threads: int) -> str:
    """What of the answers about images made by rule is not as the CPU's provider computes it; empty: nothing.

    Raises `EngineError` if the provider cannot run the network.
    """
    network, manifest = package.network(), package.manifest
    right, tried = (_Runs(network, each, threads) for each in (Provider.CPU, provider))
    outputs, deepest = manifest.output_names, manifest.cuts[-1].tensors if manifest.cuts else ()
    made = tuple(name for name in deepest if name not in manifest.input_names)
    for feeds in _feeds(network, manifest):
        expected = right.run(feeds, outputs)
        if not _is_alike(manifest, expected, tried.run(feeds, outputs)):
            return "the answers of the whole network are not those of the CPU's provider"
        if not made:
            continue
        needed = {name: feeds[name] for name in network.needed(manifest.input_names, made)}
        alive = right.run(needed, made)
        if not _is_close(alive, tried.run(needed, made)):
            return f"the tensors {', '.join(made)} are not as the CPU's provider computes them"
        crossing, behind = network.behind(deepest)
        found = {**expected, **tried.run({name: (alive | feeds)[name] for name in crossing}, behind)}
        if not _is_alike(manifest, expected, found):
            return f"the answers behind {', '.join(deepest)} are not those of the CPU's provider"
    return ""


class _Runs:
    """Runs a network with one provider and no other."""

    def __init__(self, network: Network, provider: Provider, threads: int) -> None:
        self._engine = Engine(threads=threads, cache_bytes=1 << 30)
        self._engine.add(_KEY, network, providers=(provider,))

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> Feeds:
        found = self._engine.run(_KEY, feeds, outputs)
        for provider, reason in self._engine.given_up(_KEY).items():
            raise EngineError(f"{provider}: {reason}")
        return found


def _feeds(network: Network, manifest: Manifest) -> Iterator[Feeds]:
    """One image after the other; where the network takes several, the same together."""
    alone = probe_feeds(network.inputs)[:_FEEDS]
    yield from alone
    if manifest.dynamic_batch:
        yield {name: np.concatenate([each[name] for each in alone]) for name in alone[0]}


def _is_alike(manifest: Manifest, expected: Feeds, found: Feeds) -> bool:
    """Whether these are the same answers, by the measure of the task where the outputs are what was decided."""
    if not isinstance(manifest.task, Detect | Segment):
        return _is_close(expected, found)
    # Of boxes that are equally sure either may come first; the scores fall all the same.
    scores = {name: array for name, array in expected.items() if name == "scores"}
    picture, images = manifest.require_picture(), len(next(iter(expected.values())))
    shares = likeness_of(manifest, expected, [(picture.width, picture.height)] * images).shares(found, 0)
    return bool((shares[:, 0] >= _ALIKE).all()) and _is_close(scores, found)


def _is_close(expected: Feeds, found: Feeds) -> bool:
    if not expected:
        return True
    shares = ValueLikeness(_as_one(expected)).shares(_as_one(found), 0)
    return bool((shares >= 1 - _CLOSE).all())


def _as_one(tensors: Feeds) -> Feeds:
    """All images together as a single one. A tensor may have no axis for images."""
    return {name: array[np.newaxis] for name, array in tensors.items()}
