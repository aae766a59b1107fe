"""What a call allows and wants: its budget in SI units, with defaults filled in."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from math import frexp

from collab_sdk.budget import Budget
from collab_sdk.vocabulary import Cap, Objective


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Upper limits (None: no limit), the least fidelity, and what to do best within them."""

    latency_s: float | None = None
    energy_j: float | None = None
    cost: float | None = None
    fidelity: float = 0.0
    objective: Objective = Objective.LATENCY

    @classmethod
    def of(cls, budget: Budget, min_fidelity: float) -> Caps:
        """A budget in SI units; `min_fidelity` holds where it states none."""
        return cls(
            latency_s=None if budget.latency_ms is None else budget.latency_ms / 1e3,
            energy_j=None if budget.energy_mj is None else budget.energy_mj / 1e3,
            cost=budget.cost,
            fidelity=min_fidelity if budget.fidelity is None else budget.fidelity,
            objective=budget.objective or Objective.LATENCY,
        )

    def without(self, broken: Collection[Cap]) -> Caps:
        """These without the limits on energy and cost that are `broken` anyway."""
        return replace(
            self,
            energy_j=None if Cap.ENERGY in broken else self.energy_j,
            cost=None if Cap.COST in broken else self.cost,
        )

    @property
    def kind(self) -> Hashable:
        """Equal for calls of one kind: those with the same objective, and the same caps to within a factor of two.

        The rest of a frame's time as a budget differs from call to call, and these calls are yet of one kind.
        """
        figures = (self.latency_s, self.energy_j, self.cost, 1.0 - self.fidelity)
        return self.objective, *(frexp(figure)[1] if figure else figure for figure in figures)
