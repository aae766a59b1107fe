"""The best path under caps: a resource-constrained shortest path, found exactly by labels.

A label holds the sums of one path from the start to a layer and side. A label that is no worse than another in all that
matters dominates it: whatever continues the other path continues this one as well, and at least as well. So the other
is dropped (Desrochers and Soumis, 1988). Lower bounds on the rest of the path drop the labels that cannot become better
than a path that is already known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import Column
from collabd.planning.placements.cheapest_path import PathStep, best_rests, sums_of_rests
from collabd.planning.placements.path_value import Mask, PathValue
from collabd.planning.placements.trellis import CLOUD, DEVICE, FIGURES, LATENCY, SIDES, TrellisLayer

Score = Callable[[Column], Column]

# Scores that differ by less count as equal: one path may be summed from either end, with other rounding.
_ROUNDING = 1e-9
# How many labels are compared with all the others in one go.
_BLOCK = 32


@dataclass(frozen=True)
class _Labels:
    """m labels at one layer and side: their sums [m, FIGURES], and their numbers [m] among all that came there."""

    sums: Column
    numbers: npt.NDArray[np.intp]


_NONE = _Labels(np.zeros((0, FIGURES)), np.zeros(0, np.intp))
_START = (_Labels(np.zeros((1, FIGURES)), np.zeros(1, np.intp)), _NONE)
# The labels at one layer, on either side.
_BothSides = tuple[_Labels, _Labels]


class CappedPathSearch:
    """Finds the best path of one call and companion. Bounds on the rests of paths are computed once, for all scores."""

    def __init__(self, layers: Sequence[TrellisLayer], value: PathValue) -> None:
        self._layers = layers
        self._value = value
        sums = {column: sums_of_rests(layers, best_rests(layers, column)) for column in value.columns}
        bounds = np.zeros_like(sums[LATENCY])
        for column, table in sums.items():
            bounds[..., column] = table[..., column]
        # By layer and side: first what no rest of a path is below, then the sums of real rests; infinite where none is.
        self._ahead = np.stack([bounds, *sums.values()], axis=2)

    def best(self, score: Score, columns: Sequence[int]) -> list[PathStep]:
        """The path of the least score, of equals the fastest; empty if all scores are infinite.

        The score must grow with the sums, and depend on nothing but `columns`, latency and the margin of `PathValue`.
        """
        limit = inf
        stages = [_START]
        for layer, ahead in zip(self._layers, self._ahead[1:], strict=True):
            kept = [_NONE, _NONE]
            for side in SIDES:
                if ahead[side, 0, LATENCY] == inf:
                    continue
                sums = _continued(stages[-1], layer, side)
                scores = score(sums[:, None] + ahead[side])
                limit = min(limit, float(scores[:, 1:].min(initial=inf)))
                hopeful = np.flatnonzero((scores[:, 0] < inf) & (scores[:, 0] <= limit + _ROUNDING * (1 + limit)))
                numbers = hopeful[self._undominated(sums[hopeful], columns)]
                kept[side] = _Labels(sums[numbers], numbers)
            stages.append((kept[DEVICE], kept[CLOUD]))
        sums = stages[-1][DEVICE].sums
        return _path(stages, self._layers, _fastest(sums, score(sums))) if len(sums) else []

    def _undominated(self, sums: Column, columns: Sequence[int]) -> npt.NDArray[np.intp]:
        """The numbers of the sums that no other dominates."""
        order = np.argsort(sums[:, LATENCY], kind="stable")
        kept = []
        while len(order) > 1:
            block, order = order[:_BLOCK], order[_BLOCK:]
            among = self._dominates(sums[block], sums[block], columns)
            kept.append(block[~np.triu(among, 1).any(axis=0)])
            order = order[~self._dominates(sums[kept[-1]], sums[order], columns).any(axis=0)]
        return np.concatenate([*kept, order])

    def _dominates(self, one: Column, other: Column, columns: Sequence[int]) -> Mask:
        """Which of one [m, FIGURES] dominate which of the other [n, FIGURES]: [m, n].

        For latency it is not enough to be as fast, where a deadline has a margin that grows with what varies: a label
        with more that varies may fall behind later. It must lead by the margin of what it has more.
        """
        these, those = one.T[:, :, None], other.T
        lead = those[LATENCY] - these[LATENCY]
        dominates: Mask = lead >= self._value.margin(lambda column: np.maximum(these[column] - those[column], 0.0))
        for column in columns:
            dominates &= those[column] >= these[column]
        return dominates


def _continued(labels: _BothSides, layer: TrellisLayer, side: int) -> Column:
    """The sums of all labels on either side, each continued by each option that leads to `side`."""
    pairs = zip(labels, (options[side] for options in layer.options), strict=True)
    return np.concatenate([(here.sums[:, None] + options).reshape(-1, FIGURES) for here, options in pairs])


def _came_from(labels: _BothSides, layer: TrellisLayer, *, side: int, number: int) -> tuple[int, int, int]:
    """Where the sums at `number` in `_continued` come from: the side, the label there, and the row of the option."""
    from_device, from_cloud = (len(options[side]) for options in layer.options)
    ahead = len(labels[DEVICE].sums) * from_device
    if number < ahead:
        return (DEVICE, *divmod(number, from_device))
    return (CLOUD, *divmod(number - ahead, from_cloud))


def _fastest(sums: Column, scores: Column) -> int:
    equal = np.flatnonzero(scores <= scores.min() * (1 + _ROUNDING))
    return int(equal[sums[equal, LATENCY].argmin()])


def _path(stages: Sequence[_BothSides], layers: Sequence[TrellisLayer], end: int) -> list[PathStep]:
    """The steps that led to the label `end` of the last layer, on the device."""
    path: list[PathStep] = []
    side, label = DEVICE, end
    for before, layer, here in zip(stages[-2::-1], reversed(layers), reversed(stages), strict=False):
        came_from, label, row = _came_from(before, layer, side=side, number=int(here[side].numbers[label]))
        path.append(PathStep(side, row))
        side = came_from
    return path[::-1]
