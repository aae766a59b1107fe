"""The best path under caps: a resource-constrained shortest path, exact by labels that no other dominates.

A label is the sums of a path from the start to a layer and side. One that is no worse than another in all that
matters makes the other superfluous: what continues the one continues the other (Desrochers and Soumis, 1988).
Bounds on what is still to come drop those that cannot beat what is known to be possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import Column
from collabd.planning.placements.cheapest import Way, cheapest, rests
from collabd.planning.placements.path_value import Mask, PathValue
from collabd.planning.placements.trellis import CLOUD, DEVICE, FIGURES, LATENCY, SIDES, TrellisLayer

Score = Callable[[Column], Column]

# Scores that differ by less are equal: the same path summed from its two ends.
_ROUNDING = 1e-9
# So many labels are compared with all the others at once.
_BLOCK = 32


@dataclass(frozen=True)
class _Labels:
    """m labels at one layer and side: their sums [m, FIGURES], and their numbers [m] among all that came there."""

    sums: Column
    numbers: npt.NDArray[np.intp]


_NONE = _Labels(np.zeros((0, FIGURES)), np.zeros(0, np.intp))
_START = (_Labels(np.zeros((1, FIGURES)), np.zeros(1, np.intp)), _NONE)
_Stage = tuple[_Labels, _Labels]


class Search:
    """Finds the best path for one call; what it knows of the rests of paths serves several searches."""

    def __init__(self, layers: Sequence[TrellisLayer], worth: PathValue) -> None:
        self._layers = layers
        self._worth = worth
        tables = {column: rests(layers, cheapest(layers, column)) for column in worth.columns}
        bounds = np.zeros_like(tables[LATENCY])
        for column, table in tables.items():
            bounds[..., column] = table[..., column]
        # By layer and side: what no rest of a path is below, then rests that there are; infinite where there is none.
        self._ahead = np.stack([bounds, *tables.values()], axis=2)

    def best(self, score: Score, columns: Sequence[int]) -> list[Way]:
        """The path of least score, of equals the fastest; empty if all are infinite.

        The score grows with the sums, and depends on nothing but `columns`, latency and the margin of `PathValue`.
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
        """Which of the sums no other makes superfluous."""
        order = np.argsort(sums[:, LATENCY], kind="stable")
        kept = []
        while len(order) > 1:
            block, order = order[:_BLOCK], order[_BLOCK:]
            among = self._dominates(sums[block], sums[block], columns)
            kept.append(block[~np.triu(among, 1).any(axis=0)])
            order = order[~self._dominates(sums[kept[-1]], sums[order], columns).any(axis=0)]
        return np.concatenate([*kept, order])

    def _dominates(self, one: Column, other: Column, columns: Sequence[int]) -> Mask:
        """Which of one [m, FIGURES] make which of the other [n, FIGURES] superfluous: [m, n].

        By latency one does so only if it stays in front whatever follows. With a deadline that takes a lead: where it
        has more that varies, its margin may come to exceed the other's by the margin of what it has more.
        """
        these, those = one.T[:, :, None], other.T
        lead = those[LATENCY] - these[LATENCY]
        dominates: Mask = lead >= self._worth.margin(lambda column: np.maximum(these[column] - those[column], 0.0))
        for column in columns:
            dominates &= those[column] >= these[column]
        return dominates


def _continued(stage: _Stage, layer: TrellisLayer, side: int) -> Column:
    """The sums of all labels on either side, each continued by each of its ways to `side`."""
    pairs = zip(stage, (ways[side] for ways in layer.ways), strict=True)
    return np.concatenate([(labels.sums[:, None] + ways).reshape(-1, FIGURES) for labels, ways in pairs])


def _came_from(stage: _Stage, layer: TrellisLayer, way: int, number: int) -> tuple[int, int, int]:
    """The side, the label there, and the row of the way, of the sums at `number` in `_continued`."""
    from_device, from_cloud = (len(ways[way]) for ways in layer.ways)
    ahead = len(stage[DEVICE].sums) * from_device
    if number < ahead:
        return (DEVICE, *divmod(number, from_device))
    return (CLOUD, *divmod(number - ahead, from_cloud))


def _fastest(sums: Column, scores: Column) -> int:
    equal = np.flatnonzero(scores <= scores.min() * (1 + _ROUNDING))
    return int(equal[sums[equal, LATENCY].argmin()])


def _path(stages: Sequence[_Stage], layers: Sequence[TrellisLayer], end: int) -> list[Way]:
    """The ways that led to a label of the last stage, on the device."""
    path: list[Way] = []
    side, label = DEVICE, end
    for before, layer, here in zip(stages[-2::-1], reversed(layers), reversed(stages), strict=False):
        came_from, label, row = _came_from(before, layer, side, int(here[side].numbers[label]))
        path.append(Way(side, row))
        side = came_from
    return path[::-1]
