"""The best path by one figure alone: one label a layer and side, from the end backwards."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.placements.trellis import DEVICE, FIGURES, LATENCY, TrellisLayer


class Way(NamedTuple):
    """A step of a path: the side that it leads to, and its row among the ways there."""

    side: int
    row: int


class Rest(NamedTuple):
    """The best rest of a path: its sum of the figure, of equals the fastest, and its first step."""

    goal: float
    latency: float
    side: int
    row: int


# For each layer, and behind the last, the best rest from the device and from the companion.
Table = list[tuple[Rest, Rest]]

_HOME = Rest(0.0, 0.0, DEVICE, 0)
_NO_WAY_HOME = Rest(inf, inf, DEVICE, 0)


def cheapest(layers: Sequence[TrellisLayer], column: int) -> Table:
    """Of every layer and side the rest of a path that has the least of a figure."""
    table = [(_HOME, _NO_WAY_HOME)]
    for layer in reversed(layers):
        from_device, from_cloud = (_best(ways, table[-1], column) for ways in layer.listed)
        table.append((from_device, from_cloud))
    return table[::-1]


def _best(ways: Sequence[Sequence[Sequence[float]]], rests: Sequence[Rest], column: int) -> Rest:
    found = (
        (rest.goal + figures[column], rest.latency + figures[LATENCY], side, row)
        for side, (rows, rest) in enumerate(zip(ways, rests, strict=True))
        for row, figures in enumerate(rows)
    )
    return Rest(*min(found, default=_NO_WAY_HOME))


def path_of(table: Table) -> list[Way]:
    """The best whole path."""
    path: list[Way] = []
    side = DEVICE
    for here in table[:-1]:
        path.append(Way(here[side].side, here[side].row))
        side = here[side].side
    return path


def total(layers: Sequence[TrellisLayer], path: Sequence[Way]) -> Column:
    """The sums of figures along a whole path, float64 [FIGURES]."""
    sides = (DEVICE, *(way.side for way in path))
    steps = (layer.ways[side][way.side][way.row] for layer, side, way in zip(layers, sides, path, strict=False))
    sums: Column = np.sum(list(steps), axis=0)
    return sums


def rests(layers: Sequence[TrellisLayer], table: Table) -> Column:
    """The sums along the best rests, float64 [layers + 1, 2, FIGURES]; infinite where no way leads home."""
    sums = np.full((len(table), 2, FIGURES), inf)
    sums[-1, DEVICE] = 0.0
    for k in reversed(range(len(layers))):
        for side, rest in enumerate(table[k]):
            if rest.latency < inf:
                sums[k, side] = layers[k].ways[side][rest.side][rest.row] + sums[k + 1, rest.side]
    return sums
