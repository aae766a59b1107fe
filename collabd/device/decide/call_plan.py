"""What planning hands to the executor and to the report: a plan that is ready to run, and why it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from collab_sdk.result import Plan, Predicted, stated
from collab_sdk.vocabulary import Cap, Cascade, EnergySource, Reason
from collabd.device.decide.evaluation import Evaluation
from collabd.device.job.job import Job
from collabd.planning import Caps
from collabd.planning.candidates import SOURCE

# As a share of the expected latency, in seconds, and in deviations of the device's speed.
_SURPRISE = 0.2
_LEAST_SURPRISE_S = 1e-3
_DEVIATIONS = 2.0


class UsualLatency(NamedTuple):
    """What a call takes in seconds, and how far from that it may be and say nothing new.

    Runs on a busy device vary, and then more than usual is not yet a surprise. A link that varies has changed.
    """

    expected_s: float
    error_s: float


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """A plan that is ready to run.

    `row`: the row of the plan in `evaluation`; None: a fixed placement that is no candidate. `evaluation`: of all
    candidates, or of the fixed placement alone. `caps`: the caps of the call, counted from its arrival; the caps in
    `evaluation` are what was left of them at planning time. `energy_source`: whether an instrument measures the power
    of the busy and the idle device; the power of sending is always modelled. `waited_s`: how long the call waited from
    its arrival until it was planned, which its latency includes. `looked_s`: for how much of that the device worked,
    since it looked at the picture.
    """

    job: Job
    cut: str
    placement: str
    reason: Reason
    evaluation: Evaluation
    caps: Caps
    row: int | None
    energy_source: EnergySource
    waited_s: float = 0.0
    looked_s: float = 0.0
    unmet: tuple[Cap, ...] = ()

    @cached_property
    def expected_s(self) -> float | None:
        """The latency that the call is told to expect, in seconds; None: it is not predicted."""
        return None if self.row is None else self.waited_s + float(self.evaluation.prediction.expected_s[self.row])

    @cached_property
    def usual(self) -> UsualLatency | None:
        """The latency of a call that no little network has answered; None: it is not predicted."""
        return None if self.row is None else self._usual(float(self.evaluation.prediction.left_s[self.row]))

    @cached_property
    def usual_of_little(self) -> UsualLatency | None:
        """The same of a call that the little network has answered."""
        if self.row is None:
            return None
        place = self.row - self.evaluation.plans.with_little.start
        return self._usual(float(self.evaluation.prediction.basis.sure_s[place]))

    def _usual(self, planned_s: float) -> UsualLatency:
        expected_s = self.waited_s + planned_s
        error_s = max(_SURPRISE * expected_s, _LEAST_SURPRISE_S)
        if self.row is not None and self.job.companion is None:
            error_s = max(error_s, _DEVIATIONS * float(self.evaluation.prediction.deviation_s[self.row]))
        return UsualLatency(expected_s, error_s)

    @cached_property
    def told(self) -> Plan:
        """The plan as the caller sees it."""
        companion, little = self.job.companion, self.job.little
        return Plan(
            cut=self.cut,
            codec=self.job.codec,
            placement=self.placement,
            cloud=None if companion is None else companion.name,
            reason=self.reason,
            precision=str(self.job.precisions),
            little=None if little is None else little.model.manifest.name,
            little_precision=None if little is None else little.precision,
            cascade=None if little is None else little.kind,
            least_sureness=None if little is None else little.least,
        )

    @cached_property
    def stated(self) -> dict[str, Any]:
        """`told` and `predicted` as parameters of a response."""
        return stated(vars(self.told), "plan.") | stated(vars(self.predicted), "predicted.")

    @cached_property
    def predicted(self) -> Predicted:
        """What planning expected. All figures are empty for a fixed placement that is no candidate."""
        if self.row is None:
            return Predicted()
        row, prediction = self.row, self.evaluation.prediction
        phases, plan = prediction.phases, self.evaluation.plans.rows[row]
        remote = plan.cloud is not None

        def ms(seconds: npt.NDArray[np.float64], part_of_plan: bool = True) -> float | None:
            return float(seconds[row]) * 1e3 if part_of_plan else None

        return Predicted(
            latency_ms=None if self.expected_s is None else self.expected_s * 1e3,
            prep_ms=ms(phases.prep_s + self.looked_s, bool(self.looked_s) or not self.evaluation.plans.source[row]),
            little_ms=ms(phases.little_s, plan.little is not None and plan.little.kind is Cascade.SERIAL),
            head_ms=ms(phases.head_s, "D" in self.placement),
            encode_ms=ms(phases.encode_s, remote and plan.codec != SOURCE),
            upload_ms=ms(phases.link_s, remote),
            queue_ms=ms(phases.queue_s, remote),
            decode_ms=ms(phases.decode_s, remote),
            tail_ms=ms(phases.tail_s, remote),
            answer_ms=ms(phases.answer_s),
            energy_mj=ms(prediction.mean_energy_j + self.looked_s * self.evaluation.device.busy_w),
            cost=float(prediction.mean_cost[row]),
        )
