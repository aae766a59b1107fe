"""What the calls of each model and stream came to since the start, for those who look at the daemon.

Callers choose the names of streams, so their number is bounded. A call only adds numbers.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from collab_sdk.reports import EvidenceReport, StreamReport
from collab_sdk.result import Result
from collab_sdk.vocabulary import PlanKind
from collabd.bounded_names import OTHERS
from collabd.clock import Clock

# An application has a few cameras.
_MOST = 64


class _StreamName(NamedTuple):
    model: str
    stream: str


_OF_OTHERS = _StreamName(OTHERS, OTHERS)


class _LastAnswer(NamedTuple):
    """The last answer. `evidence`: asked when somebody looks."""

    result: Result
    layers: int
    evidence: Callable[[], EvidenceReport | None]


@dataclass(slots=True, kw_only=True)
class _CallSums:
    at: float = -math.inf
    last: _LastAnswer | None = None
    kinds: dict[PlanKind, int] = field(default_factory=dict)
    failed: int = 0
    degraded: int = 0
    missed: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    energy_mj: float = 0.0
    cost: float = 0.0

    def take_over(self, other: _CallSums) -> None:
        self.at = max(self.at, other.at)
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        for name in ("failed", "degraded", "missed", "bytes_up", "bytes_down", "energy_mj", "cost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class StreamCalls:
    """Those of up to 64 streams, and all others together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Silent longest first.
        self._streams: OrderedDict[_StreamName, _CallSums] = OrderedDict()
        self._others: _CallSums | None = None

    def answered(
        self, stream: str, result: Result, *, layers: int, evidence: Callable[[], EvidenceReport | None], at: float
    ) -> None:
        """A call was answered. `layers`: of its model; `evidence`: tells what its plan's fidelity rests on."""
        sums = self._of(_StreamName(result.model, stream), at)
        sums.last = _LastAnswer(result, layers, evidence)
        kind = kind_of_answer(result)
        sums.kinds[kind] = sums.kinds.get(kind, 0) + 1
        sums.degraded += result.degraded
        sums.missed += not result.budget_met
        sums.bytes_up += result.bytes_up
        sums.bytes_down += result.bytes_down
        sums.energy_mj += result.energy_mj
        sums.cost += result.cost

    def failed(self, model: str, stream: str, *, at: float) -> None:
        """A call got an error instead of an answer."""
        self._of(_StreamName(model, stream), at).failed += 1

    def report(self) -> list[StreamReport]:
        """All streams, the latest first; what is told together comes last."""
        now = self._clock()
        reports = [_report(key, sums, now) for key, sums in reversed(self._streams.items())]
        return reports + ([] if self._others is None else [_report(_OF_OTHERS, self._others, now)])

    def _of(self, key: _StreamName, at: float) -> _CallSums:
        sums = self._streams.get(key)
        if sums is None:
            sums = self._streams[key] = _CallSums()
            if len(self._streams) > _MOST:
                self._others = self._others or _CallSums()
                self._others.take_over(self._streams.popitem(last=False)[1])
        self._streams.move_to_end(key)
        # A call that failed is noted at once, and earlier ones may still wait to be taken in.
        sums.at = max(sums.at, at)
        return sums


def kind_of_answer(result: Result) -> PlanKind:
    """How a call was really answered, whatever was planned."""
    if result.inherited_age_s is not None:
        return PlanKind.INHERITED
    if result.answered_by is not None:
        return PlanKind.LITTLE
    if "C" not in result.ran:
        return PlanKind.LOCAL
    return PlanKind.SPLIT if "D" in result.ran else PlanKind.IMAGE


def _report(key: _StreamName, sums: _CallSums, now: float) -> StreamReport:
    last = sums.last
    plan = None if last is None else last.result.plan
    evidence = None if last is None else last.evidence()
    return StreamReport(
        model=key.model,
        stream=key.stream,
        kind=None if last is None else kind_of_answer(last.result),
        cut="" if plan is None else plan.cut,
        head_layers=0 if plan is None else len(plan.placement) - len(plan.placement.lstrip("D")),
        layers=0 if last is None else last.layers,
        codec="" if plan is None else plan.codec,
        precision="" if plan is None else plan.precision,
        placement="" if plan is None else plan.placement,
        cloud=None if plan is None else plan.cloud,
        predicted_ms=None if last is None else last.result.predicted.latency_ms,
        measured_ms=None if last is None else last.result.measured.latency_ms,
        age_s=now - sums.at,
        calls=sum(sums.kinds.values()) + sums.failed,
        kinds={str(kind): count for kind, count in sums.kinds.items()},
        failed=sums.failed,
        degraded=sums.degraded,
        missed=sums.missed,
        bytes_up=sums.bytes_up,
        bytes_down=sums.bytes_down,
        energy_mj=sums.energy_mj,
        cost=sums.cost,
        fidelity=None if last is None else last.result.fidelity,
        fidelity_pictures=None if evidence is None else evidence["here"] + evidence["packaged"],
    )
