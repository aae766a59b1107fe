"""What a call allows and wants, in SI units: the budget after the defaults have been filled in."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from math import frexp
from typing import Literal

Objective = Literal["latency", "energy", "cost", "throughput"]


@dataclass(frozen=True)
class Caps:
    """Upper limits (None: no limit), the least fidelity, and what to do best within them."""

    latency_s: float | None = None
    energy_j: float | None = None
    cost: float | None = None
    fidelity: float = 0.0
    objective: Objective = "latency"

    @property
    def kind(self) -> Hashable:
        """What is alike in calls of one kind: the objective, which caps are set, and each to within a factor of two.

        A budget that is what is left of a frame's time is another at each call, and yet of one kind.
        """
        figures = (self.latency_s, self.energy_j, self.cost, 1.0 - self.fidelity)
        return self.objective, *(frexp(figure)[1] if figure else figure for figure in figures)
