"""What a network cannot do, said to who adds it: be cut, or run on a companion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.effort import require_bounded
from collabd.catalog.trial.plain_graph import read_plain
from collabd.partition import CutSpec, LayerSpec, Network


def limits(stored: bytes, network: Network, *, layers: Sequence[LayerSpec], cuts: Sequence[CutSpec]) -> Iterator[str]:
    """A line for each limit of `network`, which is `stored` as a graph and has these layers and candidate cuts."""
    refused = _refusal(stored)
    if refused:
        yield f"a companion refuses it, so the whole network always runs on the device: {refused}"
    if len(cuts) == 1:
        where = "on the device" if refused else "on the device or on a companion"
        yield f"it cannot be cut, so all of it runs {where}: {_why_uncut(network, layers)}"


def _refusal(stored: bytes) -> str | None:
    """Why a companion refuses the graph before it runs it."""
    try:
        require_bounded(read_plain(stored))
    except InvalidPackage as error:
        return str(error)
    return None


def _why_uncut(network: Network, layers: Sequence[LayerSpec]) -> str:
    inside = layers[:-1]
    if not inside:
        return "it has a single layer"
    unsized = (name for layer in inside for name in layer.tensors if not network.tensor(name).is_sized)
    if (name := next(unsized, None)) is not None:
        return f"between its layers something is alive whose size depends on what it computes ({name})"
    return "between its layers an activation follows, behind which a cut sends no more"
