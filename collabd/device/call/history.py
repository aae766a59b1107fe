"""The last decisions with all their candidates. `collabctl explain` shows them to say why a plan was chosen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from collab_sdk.reports import CandidateReport, DecisionReport, EvidenceReport
from collab_sdk.result import Result
from collab_sdk.vocabulary import Reason
from collabd.clock import Clock
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.evaluation import Evaluation
from collabd.device.fidelity.figures import Fidelities
from collabd.device.fidelity.row import Row
from collabd.planning import Candidate
from collabd.planning.choose import Decision, verdicts

KEPT_DECISIONS = 100


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What is kept of a call. The plan is not kept, because it holds the image."""

    at: float
    evaluation: Evaluation
    decision: Decision | None
    result: Result
    said: str


class History:
    """Remembers the last `KEPT_DECISIONS` calls that were answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=KEPT_DECISIONS)

    def add(self, planned: CallPlan, result: Result, *, said: str, at: float) -> None:
        """Remember a call that was answered at this time. `said`: its answer in a line."""
        self._entries.append(
            _Entry(
                at=at,
                evaluation=planned.evaluation,
                decision=_decided(planned),
                result=result,
                said=said,
            )
        )

    @property
    def last(self) -> Result | None:
        """The last call. Of its answer only the line is kept."""
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
        answer=entry.said,
        budget=str(result.budget),
        cut=result.plan.cut,
        codec=result.plan.codec,
        little=result.plan.little,
        little_precision=result.plan.little_precision,
        cascade=result.plan.cascade,
        answered_by=result.answered_by,
        precision=result.plan.precision,
        placement=result.plan.placement,
        cloud=result.plan.cloud,
        ran_on=result.ran_on,
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
    expected_s, mean_energy_j, mean_cost = prediction.expected_s, prediction.mean_energy_j, prediction.mean_cost
    reasons = verdicts(evaluation.plans, prediction, evaluation.caps, decision=decision, allowed=evaluation.allowed)
    return [
        CandidateReport(
            cut=plan.cut,
            codec=plan.codec,
            cascade=None if plan.little is None else plan.little.kind,
            little_precision=None if plan.little is None else plan.little.precision,
            little_share=None if plan.little is None else plan.little.share,
            precision=str(plan.precisions),
            cloud=None if plan.cloud is None else evaluation.companions[plan.cloud].name,
            predicted_ms=float(expected_s[row]) * 1e3,
            deadline_ms=float(prediction.deadline_s[row]) * 1e3,
            energy_mj=float(mean_energy_j[row]) * 1e3,
            cost=float(mean_cost[row]),
            fidelity=plan.fidelity,
            evidence=evidence_report(evaluation.fidelities, plan),
            verdict=reasons[row],
        )
        for row, plan in enumerate(evaluation.plans.rows)
    ]


def evidence_report(believed: Fidelities, plan: Candidate) -> EvidenceReport | None:
    """The pictures that speak for a plan; None: none are counted.

    Where a plan asks a little network, they speak for both networks together; where its tail is in a reduced precision,
    for that.
    """
    little = plan.little
    row = Row.of_plan(plan) if little is None else Row.of_threshold(little.precision, little.least)
    if plan.tail.is_reduced and little is None:
        row = Row.of_reduced(plan.tail, plan.tail_by)
    evidence = believed.evidence.get(row)
    if evidence is None:
        return None
    return EvidenceReport(
        agreed=evidence.agreed / evidence.pictures if evidence.pictures else 0.0,
        here=evidence.here,
        packaged=evidence.packaged,
    )
