"""What planning hands to the executor and to the report: a plan that is ready to run, and why it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from collab_sdk.vocabulary import Cap, EnergySource, Reason
from collabd.device.decide.evaluation import Evaluation
from collabd.device.job.job import Job
from collabd.planning import Caps


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """A plan that is ready to run.

    `row`: the row of the plan in `evaluation`; None: a fixed placement that is no candidate. `evaluation`: of all
    candidates, or of the fixed placement alone. `caps`: the caps of the call, counted from its arrival; the caps in
    `evaluation` are what was left of them at planning time. `energy_source`: whether an instrument measures the power
    of the busy and the idle device; the power of sending is always modelled.
    """

    job: Job
    cut: str
    placement: str
    reason: Reason
    evaluation: Evaluation
    caps: Caps
    row: int | None
    energy_source: EnergySource
    unmet: tuple[Cap, ...] = ()

    @cached_property
    def expected_s(self) -> float | None:
        """The latency that the call is told to expect, in seconds; None: it is not predicted."""
        return None if self.row is None else float(self.evaluation.prediction.expected_s[self.row])
