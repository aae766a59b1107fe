"""The path through the trellis that is best by one figure, without caps: by dynamic programming from the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.placements.trellis import DEVICE, FIGURES, LATENCY, TrellisLayer


class PathStep(NamedTuple):
    """One step of a path: the side that it leads to, and the row of the option taken among `TrellisLayer.options`."""

    side: int
    row: int


class BestRest(NamedTuple):
    """The best path from one layer and side to the end: its sum of the figure, its latency, and its first step.

    Of several paths with the same sum it is the fastest.
    """

    goal: float
    latency: float
    side: int
    row: int


# For each layer, and behind the last, the best rest from the device and from the companion.
BestRests = list[tuple[BestRest, BestRest]]

_HOME = BestRest(0.0, 0.0, DEVICE, 0)
_NO_WAY_HOME = BestRest(inf, inf, DEVICE, 0)


def best_rests(layers: Sequence[TrellisLayer], column: int) -> BestRests:
    """For each layer and side, the rest of a path that has the least sum of a figure."""
    found = [(_HOME, _NO_WAY_HOME)]
    for layer in reversed(layers):
        from_device, from_cloud = (_best(options, found[-1], column) for options in layer.listed)
        found.append((from_device, from_cloud))
    return found[::-1]


def _best(options: Sequence[Sequence[Sequence[float]]], rests: Sequence[BestRest], column: int) -> BestRest:
    found = (
        (rest.goal + figures[column], rest.latency + figures[LATENCY], side, row)
        for side, (rows, rest) in enumerate(zip(options, rests, strict=True))
        for row, figures in enumerate(rows)
    )
    return BestRest(*min(found, default=_NO_WAY_HOME))


def path_of(rests: BestRests) -> list[PathStep]:
    """The best whole path."""
    path: list[PathStep] = []
    side = DEVICE
    for here in rests[:-1]:
        path.append(PathStep(here[side].side, here[side].row))
        side = here[side].side
    return path


def sums_of_path(layers: Sequence[TrellisLayer], path: Sequence[PathStep]) -> Column:
    """The sums of figures along a whole path, float64 [FIGURES]."""
    sides = (DEVICE, *(step.side for step in path))
    steps = (layer.options[side][step.side][step.row] for layer, side, step in zip(layers, sides, path, strict=False))
    sums: Column = np.sum(list(steps), axis=0)
    return sums


def sums_of_rests(layers: Sequence[TrellisLayer], rests: BestRests) -> Column:
    """The sums along the best rests, float64 [layers + 1, 2, FIGURES]; infinite where no path leads home."""
    sums = np.full((len(rests), 2, FIGURES), inf)
    sums[-1, DEVICE] = 0.0
    for k in reversed(range(len(layers))):
        for side, rest in enumerate(rests[k]):
            if rest.latency < inf:
                sums[k, side] = layers[k].options[side][rest.side][rest.row] + sums[k + 1, rest.side]
    return sums
