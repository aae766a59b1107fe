"""What the bench orders of the caller, which runs on the device, and what that reports."""

from __future__ import annotations

import msgspec

from collab_sdk import Result
from collabd.simulation.samples import Form


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """A call for each of `budgets`, with a pause before each; the sample images take turns.

    `cut`, `codec`: fix the plan; None: collabd chooses.
    """

    model: str
    form: Form
    budgets: list[str | float]
    pause_s: float = 0.0
    cut: str | None = None
    codec: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one call."""

    cut: str
    codec: str
    reason: str
    latency_ms: float
    energy_mj: float
    cost: float
    predicted_ms: float
    predicted_mj: float
    predicted_cost: float

    @classmethod
    def of(cls, result: Result) -> Outcome:
        """That of a result."""
        return cls(
            cut=result.plan.cut,
            codec=result.plan.codec,
            reason=result.plan.reason,
            latency_ms=result.measured.latency_ms or 0.0,
            energy_mj=result.energy_mj,
            cost=result.cost,
            predicted_ms=result.predicted.latency_ms or 0.0,
            predicted_mj=result.predicted.energy_mj or 0.0,
            predicted_cost=result.predicted.cost or 0.0,
        )


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was considered for the last of the calls."""

    cut: str
    codec: str
    predicted_ms: float
    energy_mj: float
    cost: float
    verdict: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    outcomes: list[Outcome]
    candidates: list[Candidate]
