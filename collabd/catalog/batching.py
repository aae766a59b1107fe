"""Whether images of different callers may run together: found out by running them so."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from collabd.catalog.effort import effort, rows_together
from collabd.catalog.probes import UNLIKE, probe_images
from collabd.engine import Engine, EngineError
from collabd.partition import Network, candidate_cuts, layers

# The last is what a companion joins at most by default.
_SIZES = (2, 3, 8)
# Of a tensor's range of values. Arithmetic in another order is off by 1e-6, and flips an 8-bit step here and there,
# which makes 1e-4 on average. A scale taken over the whole batch, the least influence that was met, makes 3e-3.
_NOISE = 1e-3
# Of its largest value, where the range is small beside it.
_ROUNDING = 1e-6
_CACHE_BYTES = 1 << 28
_KEY = "batching"

_Tensors = Mapping[str, npt.NDArray[np.generic]]


def crossing(network: Network) -> list[str]:
    """What a device sends or asks for by itself: the input, the outputs, and the tensors at candidate cuts."""
    cuts = candidate_cuts(network, layers(network))
    ends = (*network.inputs, *network.outputs)
    return list(dict.fromkeys([*(info.name for info in ends), *(name for cut in cuts for name in cut.tensors)]))


def hindrance(
    network: Network, crossing: Sequence[str], *, threads: int | None = None, most_macs: float = math.inf
) -> str | None:
    """Why images of `network` must not run together, in words that follow its name; None if they may.

    What is `crossing` must stack, and be for each image what it is when the image runs alone. Where that holds for
    what enters a part of the network and for what leaves it, that part keeps the images apart. Images unlike in
    brightness and content run in several numbers and places, on `threads` cores (None: all); of a run of three or
    more no more than `most_macs` are asked.
    """
    if network.inputs[0].shape[:1] != (None,):
        return "takes a fixed number of images"
    if odd := [name for name in crossing if not network.tensor(name).stacks]:
        return f"has no entry for each image along the first axis of {odd[0]}"
    engine = Engine(threads=threads or os.cpu_count() or 1, cache_bytes=_CACHE_BYTES)
    engine.add(_KEY, network)
    try:
        wanted = [name for name in crossing if name not in network.graph.inputs]
        return _influence(engine, network, wanted, _sizes(network, most_macs))
    except EngineError as error:
        return f"cannot run several images at once ({error})"


def _sizes(network: Network, most_macs: float) -> list[int]:
    one = effort(network)
    return [size for size in _SIZES if size <= rows_together(one) and (size == 2 or size * one.macs <= most_macs)]


def _influence(engine: Engine, network: Network, wanted: Sequence[str], sizes: Sequence[int]) -> str | None:
    source = network.inputs[0]
    images = probe_images(*(size or 1 for size in source.shape[1:3]))
    orders = [_order(size) for size in sizes]

    def run(order: Sequence[int]) -> _Tensors:
        return engine.run(_KEY, {source.name: images[list(order)]}, wanted)

    alone = {index: run([index]) for index in sorted({index for order in orders for index in order})}
    for order in orders:
        together = run(order)
        for name in wanted:
            each = [alone[index][name] for index in order]
            if not _alike(np.concatenate(each), together[name]):
                return f"lets images change one another when {len(order)} of them run together (at {name})"
    return None


def _order(size: int) -> list[int]:
    """Each size begins with another image, so that each image has been first, last and in between."""
    return [UNLIKE[(size + place) % len(UNLIKE)] for place in range(size)]


def _alike(expected: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> bool:
    """Whether every row is the same but for noise. Not a number in both, or the same infinity, is no difference."""
    if expected.shape != found.shape:
        return False
    wanted, got = (np.asarray(array, np.float64).reshape(len(array), -1) for array in (expected, found))
    usual = np.isfinite(wanted)
    if not np.array_equal(wanted[~usual], got[~usual], equal_nan=True) or not np.isfinite(got[usual]).all():
        return False
    values = wanted[usual]
    allowed = max(_NOISE * np.ptp(values), _ROUNDING * np.abs(values).max()) if len(values) else 0.0
    off = np.where(usual, wanted, 0) - np.where(usual, got, 0)
    return bool((np.sqrt((off**2).mean(axis=1)) <= allowed).all())
