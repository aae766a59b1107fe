"""Which layers of a network to leave in fp32, so that its int8 graph answers like itself. The trials are bounded.

First all layers compute with integers. If that costs too many answers, each group of layers is tried by itself, and the
groups that disturb the network most stay in fp32: one, two, four and so on, until the answers are good enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx

from collabd.catalog.authoring.calibrated import Tell
from collabd.catalog.authoring.quantise.scheme import IntegerLayer
from collabd.engine import Engine
from collabd.partition import Network, decoder_start
from collabd.profiling.calibrate import one_by_one
from collabd.profiling.likeness.likeness import Likeness
from collabd.tracking import Track, untracked

# A share of answers with which the search is content.
_ENOUGH = 0.995
# The most groups of layers that are tried one by one. A network of more layers gets groups of neighbours.
_MOST_GROUPS = 48
# On so many pictures each group is tried. What it disturbs is seen on few.
_PROBES = 16
# At least so much of the multiply-accumulates that may be done with integers must be, else there is nothing to gain.
_LEAST_WORK = 0.5
_KEY = "search"

Rewrite: TypeAlias = Callable[[Sequence[IntegerLayer]], onnx.ModelProto]
_Outputs: TypeAlias = dict[str, np.ndarray]


class Choice(NamedTuple):
    """The layers that compute with integers, and the share of the pictures (0..1) for which the answer is the same."""

    layers: tuple[IntegerLayer, ...]
    share: float


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Those that decide: batches of the network's inputs, in order, and the measure against what it makes of them."""

    batches: Sequence[Mapping[str, np.ndarray]]
    likeness: Likeness


class Search:
    """Tries layers of one network. `rewrite` gives the graph in which certain layers compute with integers."""

    def __init__(
        self,
        engine: Engine,
        network: Network,
        *,
        pictures: Pictures,
        rewrite: Rewrite,
        tell: Tell,
        track: Track = untracked,
    ) -> None:
        self._engine = engine
        self._network = network
        self._pictures = pictures
        self._rewrite = rewrite
        self._tell = tell
        self._track = track

    def choose(self, layers: Sequence[IntegerLayer]) -> Choice:
        """The layers that are worth it. At most `_MOST_GROUPS` trials of groups, and a dozen of what is left."""
        best = Choice(tuple(layers), self._share(layers))
        self._tell(f"int8: with all {len(layers)} layers in int8, {best.share:.1%} of the answers stay")
        if best.share >= _ENOUGH:
            return best
        ranked = self._ranked(layers)
        tried = {0: best}
        for count in self._counts(ranked):
            tried[count] = self._without(layers, ranked[:count])
            if tried[count].share >= _ENOUGH:
                break
        return min(self._narrowed(layers, ranked, tried).items(), key=_merit)[1]

    def _counts(self, ranked: Sequence[Sequence[IntegerLayer]]) -> Iterator[int]:
        """1, 2, 4 and so on, as long as enough work is left for integers."""
        work = sum(layer.macs for group in ranked for layer in group)
        count = 1
        while (
            count < len(ranked) and sum(layer.macs for group in ranked[count:] for layer in group) >= _LEAST_WORK * work
        ):
            yield count
            count *= 2

    def _narrowed(
        self, layers: Sequence[IntegerLayer], ranked: Sequence[Sequence[IntegerLayer]], tried: dict[int, Choice]
    ) -> dict[int, Choice]:
        """What was tried, and between the last two counts the fewest groups that suffice, if the last did."""
        high = max(tried)
        low = high // 2
        while tried[high].share >= _ENOUGH and high - low > 1:
            middle = (low + high) // 2
            tried[middle] = self._without(layers, ranked[:middle])
            low, high = (low, middle) if tried[middle].share >= _ENOUGH else (middle, high)
        return tried

    def _without(self, layers: Sequence[IntegerLayer], left: Sequence[Sequence[IntegerLayer]]) -> Choice:
        out = {layer.name for group in left for layer in group}
        kept = tuple(layer for layer in layers if layer.name not in out)
        choice = Choice(kept, self._share(kept))
        self._tell(
            f"int8: with {len(out)} of {len(layers)} layers left in fp32, {choice.share:.1%} of the answers stay"
        )
        return choice

    def _ranked(self, layers: Sequence[IntegerLayer]) -> list[Sequence[IntegerLayer]]:
        """Groups of neighbouring layers, those first that disturb the network most by themselves."""
        size = -(-len(layers) // _MOST_GROUPS)
        groups = [layers[start : start + size] for start in range(0, len(layers), size)]
        self._tell(
            f"int8: trying {len(groups)} groups of {size} layers one by one"
            if size > 1
            else f"int8: trying {len(groups)} layers one by one"
        )
        start = decoder_start(self._network)
        names = [
            name for name in self._network.graph.frontiers[start] if self._network.tensor(name).dtype == np.float32
        ]
        known = self._run(self._network, self._probes(), names)
        tried = self._track("int8: trying layers", groups)
        found = [self._run(self._rewritten(group), self._probes(), names) for group in tried]
        errors = [_disturbance(known, each) for each in found]
        return [groups[index] for index in sorted(range(len(groups)), key=lambda index: -errors[index])]

    def _probes(self) -> list[Mapping[str, np.ndarray]]:
        probes, images = [], 0
        for batch in self._pictures.batches:
            if images >= _PROBES:
                break
            probes.append(batch)
            images += len(next(iter(batch.values())))
        return probes

    def _rewritten(self, layers: Sequence[IntegerLayer]) -> Network:
        return Network.from_proto(self._rewrite(layers))

    def _share(self, layers: Sequence[IntegerLayer]) -> float:
        found = self._run(self._rewritten(layers), self._pictures.batches, self._network.graph.outputs)
        likeness = self._pictures.likeness
        shares = likeness.shares(found, 0)
        telling = likeness.telling(shares)
        return float((shares[telling] if telling.any() else shares)[:, 0].mean())

    def _run(self, network: Network, batches: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> _Outputs:
        self._engine.add(_KEY, network)
        parts = [self._engine.run(_KEY, batch, names) for batch in batches]
        sizes = [len(next(iter(batch.values()))) for batch in batches]
        self._engine.remove(_KEY)
        return {
            name: np.concatenate([one_by_one(part[name], size) for part, size in zip(parts, sizes, strict=True)])
            for name in names
        }


def _disturbance(known: _Outputs, found: _Outputs) -> float:
    """How much of the variance of what was known is lost, the mean over the tensors."""
    return float(
        np.mean([((found[name] - array) ** 2).mean() / max(array.var(), 1e-12) for name, array in known.items()])
    )


def _merit(tried: tuple[int, Choice]) -> tuple[float, int]:
    """The least loss, where a loss that is small enough is none; of equals the one that leaves the fewest groups."""
    count, choice = tried
    return max(_ENOUGH - choice.share, 0.0), count
