"""Calls that have ended. What they teach and what is told of them waits until somebody needs it.

A call's answer need not wait for it, and to take in several calls at once takes far less processor time: after a run of
a network none of this code is in the processor's caches any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from collabd.device.call.answer import CallAnswer
from collabd.device.call.learned import Learned
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

    `at`: when the call ended, on the daemon's clock. `served_s`: what the daemon took for it beside its phases.
    `slowdown`: says how many times as long as alone a run was expected to take when the call ended.
    """

    at: float
    plan: CallPlan
    image: ImageSize
    record: CallRecord
    served_s: float
    slowdown: Callable[[], float]
    answer: CallAnswer


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
            self._counters.answered(result)
            self._learned.history.add(call.plan, result, at=call.at)
            self._journal.answered(result)
