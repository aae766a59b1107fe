"""The inputs and outputs of neighbouring layers, for a placement with any number of crossings."""

from __future__ import annotations

from collections.abc import Sequence

from .network import Network


def segment(
    network: Network, frontiers: Sequence[Sequence[str]], *, start: int, end: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and outputs of the layers ``[start, end)``.

    `frontiers` holds the tensors alive before the first layer and behind each layer, so one entry more than there are
    layers. The outputs are the tensors alive at `end` but not yet at `start`; the inputs are the fewest that the
    outputs need. Whoever runs segments one after the other keeps the tensors that are alive at both `start` and `end`.
    """
    before = frontiers[start]
    outputs = tuple(name for name in frontiers[end] if name not in before)
    return network.needed(before, outputs), outputs
