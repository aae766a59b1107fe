"""What a run of layers takes and gives, for a placement with any number of crossings."""

from __future__ import annotations

from collections.abc import Sequence

from .network import Network


def segment(
    network: Network, frontiers: Sequence[Sequence[str]], *, start: int, end: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and outputs of the layers ``[start, end)``.

    `frontiers` holds the tensors alive before the first layer and behind each layer, so one more than there are
    layers. The outputs are those alive at `end` and not yet at `start`; the inputs are the fewest that they need.
    Whoever runs segments one after the other keeps the tensors alive at `start` that are still alive at `end`.
    """
    before = frontiers[start]
    outputs = tuple(name for name in frontiers[end] if name not in before)
    return network.needed(before, outputs), outputs
