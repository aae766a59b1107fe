"""Calls that have ended. What they teach and what is told of them waits until somebody needs it.

A call's answer need not wait for it, and to take in several calls at once takes far less processor time: after a run of
a network none of this code is in the processor's caches any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from collab_sdk.reports import EvidenceReport
from collab_sdk.text import plain
from collabd.device.call.answer import CallAnswer
from collabd.device.call.history import evidence_report
from collabd.device.call.learned import Learned
from collabd.device.call.recall import Check
from collabd.device.counters import Counters
from collabd.device.decide.call_plan import CallPlan
from collabd.device.job.image import ImageSize
from collabd.device.job.job import CallRecord
from collabd.device.journal import Journal

# The first of those that wait does so for this many seconds at most. A choice stands as long.
_WAITS_S = 0.5
_MOST = 32


@dataclass(slots=True, kw_only=True)
class EndedCall:
    """What is left of a call. The image is not kept.

    `stream`: its name; empty: the call belongs to none. `at`: when the call ended, on the daemon's clock. `served_s`:
    what the daemon took for it beside its phases. `slowdown`: says how many times as long as alone a run was expected
    to take when the call ended. `check`: what the call shows of its stream's memory; None: nothing.
    """

    stream: str
    at: float
    plan: CallPlan
    image: ImageSize
    record: CallRecord
    served_s: float
    slowdown: Callable[[], float]
    answer: CallAnswer
    check: Check | None = None


class Outcomes:
    """Takes in the calls that have ended, each once, in the order in which they ended."""

    def __init__(self, learned: Learned, counters: Counters, journal: Journal) -> None:
        self._learned = learned
        self._counters = counters
        self._journal = journal
        self._waiting: list[EndedCall] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: EndedCall) -> None:
        """A call has ended."""
        self._waiting.append(call)
        if len(self._waiting) >= _MOST:
            self.take_in()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAITS_S, self.take_in)

    def failed(self, model: str, stream: str, *, at: float) -> None:
        """A call to this model got an error instead of an answer, at this time."""
        self._learned.stream_calls.failed(model, stream, at=at)

    def take_in(self) -> None:
        """Take in all that wait. Call this before anything is read that they change."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._waiting = self._waiting, []
        for call in calls:
            self._learned.take_in(
                call.plan, call.image, call.record, served_s=call.served_s, slowdown=call.slowdown(), now=call.at
            )
            result = call.answer.result()
            if call.check is not None:
                call.check.take_in(self._counters, self._journal)
            self._counters.answered(result)
            self._learned.history.add(call.plan, result, said=plain(call.answer.said()), at=call.at)
            self._learned.stream_calls.answered(
                call.stream,
                result,
                layers=len(call.plan.job.model.manifest.layers),
                evidence=_evidence(call.plan),
                at=call.at,
            )
            self._journal.answered(result)


def _evidence(planned: CallPlan) -> Callable[[], EvidenceReport | None]:
    """Tells what the plan's fidelity rests on. It does not keep the plan, which holds the image."""
    if planned.row is None:
        return _nothing
    return partial(evidence_report, planned.evaluation.fidelities, planned.evaluation.plans.rows[planned.row])


def _nothing() -> None:
    return None
