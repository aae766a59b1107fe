"""What a call allows and wants, in SI units: the budget after the defaults have been filled in."""

from __future__ import annotations

from dataclasses import dataclass
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
