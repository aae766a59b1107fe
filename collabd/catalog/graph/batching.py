"""Whether images of different callers may run together, found out by running some together and alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.graph.probe_feeds import probe_feeds
from collabd.catalog.graph.probe_images import UNLIKE
from collabd.engine import Engine, EngineError
from collabd.limits.cores import usable_cores
from collabd.partition import Network, candidate_cuts, layers

# So many images run together. The last is the most that a companion joins by default.
_SIZES = (2, 3, 8)
# How far a tensor may be off, as a part of its range of values. Arithmetic in another order makes 1e-6, and 1e-4 on
# average where it flips single 8-bit steps. The least influence that was met, a scale over the whole batch, makes 3e-3.
_NOISE = 1e-3
# The same as a part of its largest value, which counts where the range is much smaller.
_ROUNDING = 1e-6
_CACHE_BYTES = 1 << 28
_KEY = "batching"

_Tensors = Mapping[str, npt.NDArray[np.generic]]


def crossing(network: Network) -> list[str]:
    """The tensors that a device may send or ask for: the inputs, the outputs, and those at candidate cuts."""
    cuts = candidate_cuts(network, layers(network))
    ends = (*network.inputs, *network.outputs)
    return list(dict.fromkeys([*(info.name for info in ends), *(name for cut in cuts for name in cut.tensors)]))


def hindrance(
    network: Network, crossing: Sequence[str], *, threads: int | None = None, most_macs: float = math.inf
) -> str | None:
    """Why images of `network` must not run together, in words that follow its name; None if they may.

    An image stands for what one call brings, whatever that is.
    The tensors in `crossing` must stack, and have for each image the values that they have when it runs alone. Where
    that holds for the tensors that enter a part of the network and for those that leave it, the part keeps images
    apart. The images differ in brightness and content, and run in several numbers and places, on `threads` cores
    (None: all). Runs of three or more images are left out if they take more than `most_macs`.
    """
    if any(info.shape[:1] != (None,) for info in network.inputs):
        return "takes a fixed number of images"
    if odd := [name for name in crossing if not network.tensor(name).stacks]:
        return f"has no entry for each image along the first axis of {odd[0]}"
    engine = Engine(threads=threads or usable_cores(), cache_bytes=_CACHE_BYTES)
    engine.add(_KEY, network)
    try:
        wanted = [name for name in crossing if name not in network.graph.inputs]
        return _influence(engine, network, wanted=wanted, sizes=_sizes(network, most_macs))
    except EngineError as error:
        return f"cannot run several images at once ({error})"


def _sizes(network: Network, most_macs: float) -> list[int]:
    one = effort(network)
    return [size for size in _SIZES if size <= rows_together(one) and (size == 2 or size * one.macs <= most_macs)]


def _influence(engine: Engine, network: Network, *, wanted: Sequence[str], sizes: Sequence[int]) -> str | None:
    feeds = probe_feeds(network.inputs)
    orders = [_order(size) for size in sizes]

    def run(order: Sequence[int]) -> _Tensors:
        joined = {info.name: np.concatenate([feeds[index][info.name] for index in order]) for info in network.inputs}
        return engine.run(_KEY, joined, wanted)

    alone = {index: run([index]) for index in sorted({index for order in orders for index in order})}
    for order in orders:
        together = run(order)
        for name in wanted:
            each = [alone[index][name] for index in order]
            if not _alike(np.concatenate(each), together[name]):
                return f"lets images change one another when {len(order)} of them run together (at {name})"
    return None


def _order(size: int) -> list[int]:
    """The images of one run. Each size begins with another one, so that each has been first, last and in between."""
    return [UNLIKE[(size + place) % len(UNLIKE)] for place in range(size)]


def _alike(expected: npt.NDArray[np.generic], found: npt.NDArray[np.generic]) -> bool:
    """Whether every row is the same but for noise. Two NaNs, or two equal infinities, are no difference."""
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
