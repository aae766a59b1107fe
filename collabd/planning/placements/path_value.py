"""What the sums of figures along a path are worth under a call's caps.

Every value grows with the sums. So the value of the least sums that a path can have is a bound on the path's value.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Cap, Objective
from collabd.planning.candidates import Column
from collabd.planning.caps import Caps
from collabd.planning.nearest import expected_excess, keeps
from collabd.planning.placements.trellis import (
    BUSY,
    COST,
    COST_VARIES,
    ENERGY,
    ENERGY_VARIES,
    LATENCY,
    LINK,
    LOSS,
    REMOTE,
)
from collabd.planning.state import CloudState, DeviceState

Mask = npt.NDArray[np.bool_]

# Figures summed in another order differ by less than this share, which must not break a cap.
_ROUNDING = 1e-9
_COLUMNS = {Objective.LATENCY: LATENCY, Objective.ENERGY: ENERGY, Objective.COST: COST}
_CAPPED = {Cap.ENERGY: (ENERGY, ENERGY_VARIES), Cap.COST: (COST, COST_VARIES)}
# Below an even chance a path gains by figures that vary more, so that least sums bound it no longer.
_EVEN = 0.5


class PathValue:
    """Judges sums of figures, float64 [..., FIGURES], for one call and one companion."""

    def __init__(self, caps: Caps, *, device: DeviceState, cloud: CloudState, quantile: float) -> None:
        self.objective = _COLUMNS[caps.objective]
        self._limits = {Cap.LATENCY: caps.latency_s, Cap.ENERGY: caps.energy_j, Cap.COST: caps.cost}
        self._loss = -log(caps.fidelity) if caps.fidelity > 0 else inf
        # How many deviations beyond the median caps are held against.
        self._deviations = NormalDist().inv_cdf(quantile)
        # By which share of itself each part of latency deviates.
        spreads = {BUSY: device.spread, LINK: cloud.link_spread, REMOTE: cloud.speed_spread}
        self._varying = {column: spread for column, spread in spreads.items() if spread and caps.latency_s is not None}

    @property
    def capped(self) -> list[int]:
        """The columns that caps limit, but for latency's."""
        columns = [column for name, pair in _CAPPED.items() if self._limits[name] is not None for column in pair]
        return [*columns, LOSS] if self._loss < inf else columns

    @property
    def columns(self) -> set[int]:
        """All columns that a path is judged by."""
        return {LATENCY, self.objective, *self.capped, *self._varying}

    def margin(self, figure: Callable[[int], Column]) -> Column:
        """Seconds by which the quantile of latency lies above its median; `figure` gives the seconds of a column."""
        return self._deviations * self._deviation(figure)

    def unmet(self, sums: Column) -> tuple[Cap, ...]:
        """The caps that the sums of one path break."""
        return tuple(name for name, over in self._broken(sums).items() if over)

    def goal(self, sums: Column) -> Column:
        """The objective, to be minimised; infinite where a cap is broken."""
        fits = ~np.any(list(self._broken(sums).values()), axis=0)
        return np.where(fits, sums[..., self.objective], inf)

    def chance(self, sums: Column) -> Column:
        """How likely all caps are kept, 0..1, as in `nearness_to_caps`; 0 where fidelity is below its cap."""
        chance = np.where(self._unfaithful(sums), 0.0, 1.0)
        for median, deviation, limit in self._against(sums).values():
            chance = np.minimum(chance, keeps(median, deviation, limit))
        return chance

    def doubt(self, sums: Column) -> Column:
        """The chance that a cap is broken, to be minimised; infinite where that is more likely than not."""
        chance = self.chance(sums)
        return np.where(chance >= _EVEN, 1.0 - chance, inf)

    def excess(self, sums: Column, least: float = 0.0) -> Column:
        """The sum of the shares by which caps are expected to be exceeded, as in `nearness_to_caps`.

        It is infinite where fidelity is below its cap, since fidelity is never traded, and where the chance that all
        caps are kept is below `least`.
        """
        over = sum(
            (expected_excess(median, deviation, limit) for median, deviation, limit in self._against(sums).values()),
            np.zeros(sums.shape[:-1]),
        )
        out = self._unfaithful(sums) | (self.chance(sums) < max(least, _EVEN)) if least else self._unfaithful(sums)
        return np.where(out, inf, over)

    def _broken(self, sums: Column) -> dict[Cap, Mask]:
        """For each cap, which sums break it."""
        over = {
            name: median + self._deviations * deviation > limit * (1 + _ROUNDING)
            for name, (median, deviation, limit) in self._against(sums).items()
        }
        return {Cap.FIDELITY: self._unfaithful(sums)} | over

    def _unfaithful(self, sums: Column) -> Mask:
        unfaithful: Mask = sums[..., LOSS] > self._loss + _ROUNDING
        return unfaithful

    def _deviation(self, figure: Callable[[int], Column]) -> Column:
        squares = (np.square(spread * figure(column)) for column, spread in self._varying.items())
        return np.sqrt(sum(squares, np.zeros(())))

    def _against(self, sums: Column) -> dict[Cap, tuple[Column, Column, float]]:
        """For each cap the median and the deviation of the figure that it limits, and the limit."""
        values = {Cap.LATENCY: (sums[..., LATENCY], self._deviation(lambda column: sums[..., column]))}
        values |= {name: (sums[..., median], sums[..., varies]) for name, (median, varies) in _CAPPED.items()}
        limits = ((name, limit) for name, limit in self._limits.items() if limit is not None)
        return {name: (*values[name], limit) for name, limit in limits}
