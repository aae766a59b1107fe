"""The last decisions with all their candidates. `collabctl explain` shows them to say why a plan was chosen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from collab_sdk.reports import CandidateReport, DecisionReport
from collab_sdk.result import Result
from collab_sdk.vocabulary import Reason
from collabd.clock import Clock
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.evaluation import Evaluation
from collabd.planning.choose import Decision, verdicts

KEPT_DECISIONS = 100


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What is kept of a call. The plan is not kept, because it holds the image."""

    at: float
    evaluation: Evaluation
    decision: Decision | None
    result: Result


class History:
    """Remembers the last `KEPT_DECISIONS` calls that were answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=KEPT_DECISIONS)

    def add(self, planned: CallPlan, result: Result, *, at: float) -> None:
        """Remember a call that was answered at this time."""
        self._entries.append(
            _Entry(
                at=at,
                evaluation=planned.evaluation,
                decision=_decided(planned),
                result=result,
            )
        )

    @property
    def last(self) -> Result | None:
        """The last answer."""
        return self._entries[-1].result if self._entries else None

    def report(self, last: int) -> list[DecisionReport]:
        """The `last` decisions, the latest first."""
        latest = list(self._entries)[-last:] if last > 0 else []
        return [_decision(entry, self._clock()) for entry in reversed(latest)]


def _decision(entry: _Entry, now: float) -> DecisionReport:
    result = entry.result
    return DecisionReport(
        age_s=now - entry.at,
        model=result.model,
        budget=str(result.budget),
        cut=result.plan.cut,
        codec=result.plan.codec,
        placement=result.plan.placement,
        cloud=result.plan.cloud,
        reason=result.plan.reason,
        predicted_ms=result.predicted.latency_ms,
        measured_ms=result.measured.latency_ms or 0.0,
        budget_met=result.budget_met,
        degraded=result.degraded,
        why=result.why,
        candidates=_candidates(entry.evaluation, entry.decision),
    )


def _decided(planned: CallPlan) -> Decision | None:
    """The decision of a call. None: the call itself fixed the placement."""
    if planned.row is None or planned.reason is Reason.FIXED:
        return None
    return Decision(planned.row, planned.reason, planned.unmet)


def _candidates(evaluation: Evaluation, decision: Decision | None) -> list[CandidateReport]:
    """Every plan with its verdict. The list is empty when there was nothing to decide."""
    if decision is None:
        return []
    prediction = evaluation.prediction
    reasons = verdicts(evaluation.plans, prediction, evaluation.caps, decision=decision, allowed=evaluation.allowed)
    return [
        CandidateReport(
            cut=plan.cut,
            codec=plan.codec,
            cloud=None if plan.cloud is None else evaluation.companions[plan.cloud].name,
            predicted_ms=float(prediction.expected_s[row]) * 1e3,
            deadline_ms=float(prediction.deadline_s[row]) * 1e3,
            energy_mj=float(prediction.energy_j[row]) * 1e3,
            cost=float(prediction.cost[row]),
            fidelity=plan.fidelity,
            verdict=reasons[row],
        )
        for row, plan in enumerate(evaluation.plans.rows)
    ]
