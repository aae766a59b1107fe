"""What the sums along a path are worth under a call's caps. All of it grows with the sums, so it bounds paths too."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import Column
from collabd.planning.limits import Caps
from collabd.planning.state import CloudState, DeviceState
from collabd.planning.trellis import BUSY, COST, COST_MOST, ENERGY, ENERGY_MOST, LATENCY, LINK, LOSS, REMOTE

Mask = npt.NDArray[np.bool_]

# The same figures summed in another order differ by this little, and must not break a cap by it.
_ROUNDING = 1e-9
_COLUMNS = {"latency": LATENCY, "energy": ENERGY, "cost": COST}
_CAPPED = {"energy": ENERGY_MOST, "cost": COST_MOST}


class Worth:
    """Judges sums of figures, float64 [..., FIGURES], for one call and one companion."""

    def __init__(self, caps: Caps, device: DeviceState, cloud: CloudState, quantile: float) -> None:
        self.objective = _COLUMNS[caps.objective]
        self._limits = {"latency": caps.latency_s, "energy": caps.energy_j, "cost": caps.cost}
        self._loss = -log(caps.fidelity) if caps.fidelity > 0 else inf
        spreads = np.array([device.spread, cloud.link_spread, cloud.speed_spread])
        factors = NormalDist().inv_cdf(quantile) * spreads * (caps.latency_s is not None)
        # Of each part of latency that varies, by how much of itself it is longer at the quantile.
        self._varying = {column: factor for column, factor in zip((BUSY, LINK, REMOTE), factors, strict=True) if factor}

    @property
    def capped(self) -> list[int]:
        """The columns with a cap, without latency's."""
        columns = [column for name, column in _CAPPED.items() if self._limits[name] is not None]
        return [*columns, LOSS] if self._loss < inf else columns

    @property
    def columns(self) -> set[int]:
        """All that a path is judged by."""
        return {LATENCY, self.objective, *self.capped, *self._varying}

    def margin(self, figure: Callable[[int], Column]) -> Column:
        """Seconds by which the deadline's quantile lies above the median, where `figure` gives a column's seconds."""
        return np.sqrt(
            sum((np.square(factor * figure(column)) for column, factor in self._varying.items()), np.zeros(()))
        )

    def unmet(self, sums: Column) -> tuple[str, ...]:
        """The caps that the sums of one path break."""
        return tuple(name for name, over in self._broken(sums).items() if over)

    def rank(self, sums: Column) -> tuple[bool, float, float]:
        """Of the sums of several paths the best has the least rank; `goal` and `excess` find it among many."""
        unmet = bool(self.unmet(sums))
        return unmet, float(self.excess(sums) if unmet else sums[self.objective]), float(sums[LATENCY])

    def _broken(self, sums: Column) -> dict[str, Mask]:
        """Of each cap, which sums break it."""
        over = {name: value > limit * (1 + _ROUNDING) for name, value, limit in self._against(sums)}
        return {"fidelity": sums[..., LOSS] > self._loss + _ROUNDING} | over

    def goal(self, sums: Column) -> Column:
        """What to minimise; infinite where a cap is broken."""
        fits = ~np.any(list(self._broken(sums).values()), axis=0)
        return np.where(fits, sums[..., self.objective], inf)

    def excess(self, sums: Column) -> Column:
        """By how much of themselves the caps are exceeded; infinite where fidelity is, which is never traded."""
        over = sum(
            (np.maximum(value - limit, 0.0) / max(limit, 1e-12) for _, value, limit in self._against(sums)),
            np.zeros(sums.shape[:-1]),
        )
        return np.where(self._broken(sums)["fidelity"], inf, over)

    def _against(self, sums: Column) -> list[tuple[str, Column, float]]:
        values = {
            "latency": sums[..., LATENCY] + self.margin(lambda column: sums[..., column]),
            "energy": sums[..., ENERGY_MOST],
            "cost": sums[..., COST_MOST],
        }
        return [(name, values[name], limit) for name, limit in self._limits.items() if limit is not None]
