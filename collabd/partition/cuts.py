"""Choose the cuts that are worth measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import log

from .layers import ACTIVATIONS, LayerSpec, decoder_start
from .network import Network

IMAGE_CUT = "image"


@dataclass(frozen=True)
class CutSpec:
    """``layers[:head_layers]`` before the cut, the rest behind it; ``tensors`` cross it."""

    name: str
    head_layers: int
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class _Boundary:
    cut: CutSpec
    nbytes: int
    macs: int


def candidate_cuts(
    network: Network, layers: Sequence[LayerSpec], limit: int = 16, *, first: str = IMAGE_CUT
) -> tuple[CutSpec, ...]:
    """At most `limit` cuts in graph order: the inputs (the cut `first`), then the boundaries that are not dominated.

    A boundary is dominated if an earlier boundary, which has less work before it, has no more bytes to send. The image
    dominates none: both JPEG and codecs for features compress, and only measuring tells by how much. Where a tensor of
    unknown size is alive, nothing is cut. Nor is it where only decoding is left, which costs less than to send what it
    reads, unless that is smaller than what it gives.
    """
    inputs = CutSpec(first, 0, network.graph.frontiers[0])
    return (inputs, *(boundary.cut for boundary in _thinned(_undominated(network, layers), limit - 1)))


def _undominated(network: Network, layers: Sequence[LayerSpec]) -> list[_Boundary]:
    kept: list[_Boundary] = []
    macs = accumulate(layer.macs for layer in layers)
    decoder = decoder_start(network)
    for number, (layer, following) in enumerate(pairwise(layers), start=1):
        cut = CutSpec(layer.name, number, layer.tensors)
        crossing, outputs = network.behind(cut.tensors)
        boundary = _Boundary(cut, _nbytes(network, crossing), next(macs))
        if not all(network.tensor(name).is_sized for name in cut.tensors):
            continue
        if layer.end_node >= decoder and boundary.nbytes >= _nbytes(network, outputs):
            continue
        if (not kept or boundary.nbytes < kept[-1].nbytes) and not _activates(network, layer, following):
            kept.append(boundary)
    return kept


def _nbytes(network: Network, tensors: Sequence[str]) -> int:
    return sum(network.tensor(name).nbytes for name in tensors)


def _activates(network: Network, layer: LayerSpec, following: LayerSpec) -> bool:
    """Whether the next layer is only an activation: behind it are no more bytes, and they compress better."""
    ops = {node.op_type for node in network.graph.nodes[layer.end_node : following.end_node]}
    gated = ops - {"Mul"}
    return (
        bool(gated) and gated <= ACTIVATIONS and _nbytes(network, following.tensors) <= _nbytes(network, layer.tensors)
    )


def _thinned(boundaries: list[_Boundary], limit: int) -> list[_Boundary]:
    """Drop boundaries until `limit` are left, each time the one whose neighbours are nearest to each other.

    The distance is the difference in head work, as a share of all work, plus the difference in the logarithm of bytes,
    as a share of its range.
    """
    kept = list(boundaries)
    work = max(1, boundaries[-1].macs) if boundaries else 1
    span = log(boundaries[0].nbytes / boundaries[-1].nbytes) if len(boundaries) > 1 else 1.0

    def gap(index: int) -> float:
        before, after = kept[index - 1], kept[index + 1]
        return (after.macs - before.macs) / work + log(before.nbytes / after.nbytes) / span

    while len(kept) > limit:
        kept.pop(min(range(1, len(kept) - 1), key=gap) if len(kept) > 2 else 0)
    return kept
