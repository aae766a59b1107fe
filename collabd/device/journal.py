"""Writes changes to the journal: each change once, and no line for an ordinary call.

Each event has a MESSAGE_ID (`journalctl MESSAGE_ID=...`). packaging/systemd/collabd.catalog explains it.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, fields

from collab_sdk.budget import Budget
from collab_sdk.result import Plan, Result
from collab_sdk.vocabulary import Cap, Cascade, Precision, Reason
from collabd.clock import MONOTONIC, Clock
from collabd.planning import Caps
from collabd.sensing.machine.throttling import Flags, Throttling
from collabd.sensing.reading import Measured, NotMeasured
from collabd.systemd.journal import with_fields

log = logging.getLogger(__name__)

PLAN_SWITCHED = "5d09df2bc37f41529809cf762819972b"
COMPANION_LOST = "6bfd33222e8f46d491eec13b37eb771e"
COMPANION_REGAINED = "e02a183e09784ebab1e17580135e9749"
DEADLINE_MISSED = "187316ece4744910bd41fda3a7f4426c"
THROTTLED = "4d4450b4d4874c5c99ff1d03d0abeb7a"
THROTTLING_ENDED = "f6c71bbb576d41219ba26dcb7aed2a18"
COMPANION_MOVED = "8f2b6c0d1e7a4c53b9d04a6e57f13c28"
TAKEN_OVER = "d27c4b1f6a0e4f39917be3580c64d2a5"
FIDELITY_CHANGED = "b3f1c7a95d0e4c6e8a2f74d1906bce35"

# How many kinds of calls (model and kind of budget) the journal remembers. An application has a few.
_KINDS = 64
# For one kind of calls, at most one switch of plans is reported in 10 s: plans may alternate, and only a change that
# lasts is of interest. Nor is it reported more often that one companion stands in for another.
_EVERY_S = 10.0
# After a missed deadline, 20 calls in a row must keep theirs before the next miss is reported.
_KEPT_IN_A_ROW = 20
# A row whose fidelity is about what calls ask for may cross it often: each way is reported once in ten minutes. So many
# rows are remembered.
_FIDELITY_EVERY_S = 600.0
_ROWS = 1000


@dataclass
class _Kind:
    # The plan that was reported last, and when.
    plan: Plan | None = None
    told_at: float = -math.inf
    kept_in_a_row: int = _KEPT_IN_A_ROW


class Journal:
    """Compares each answer and each reading with the last one, and reports what has changed."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._throttled: tuple[str, ...] = ()
        # When it was reported last that the second companion finished a call which the first one had failed.
        self._taken_over: dict[tuple[str | None, str | None], float] = {}
        # When a row's change for better or worse was reported last.
        self._fidelities: OrderedDict[Hashable, float] = OrderedDict()

    def answered(self, result: Result) -> None:
        """Report if this answer switched the plan, came from another companion, or missed its deadline."""
        if result.failed_over:
            self._takeover(result)
        if result.plan.reason == Reason.FIXED:
            return
        budget = str(result.budget)
        call = f"{result.model} ({budget})" if budget else result.model
        about = {"COLLABD_MODEL": result.model, "COLLABD_BUDGET": budget}
        kind = self._kind(result.model, result.budget)
        if result.plan.reason != Reason.EXPLORED and result.inherited_age_s is None:
            self._plan(call, kind, result.plan, about=about)
        self._deadline(call, kind, result, about=about)

    def _takeover(self, result: Result) -> None:
        pair, now = (result.plan.cloud, result.ran_on), self._clock()
        if now - self._taken_over.get(pair, -math.inf) < _EVERY_S:
            return
        self._taken_over[pair] = now
        _report(
            logging.INFO,
            TAKEN_OVER,
            f"{result.model}: {result.ran_on} finished a call in the place of {result.plan.cloud}: {result.why}",
            about={
                "COLLABD_MODEL": result.model,
                "COLLABD_COMPANION": result.plan.cloud or "",
                "COLLABD_RAN_ON": result.ran_on or "",
                "COLLABD_WHY": result.why,
            },
        )

    def fidelity_changed(self, model: str, row: str, *, least: float, now: float, allowed: bool) -> None:
        """Report that a lossy `row` of a model is faithful enough for calls that ask for `least`, or no longer is.

        `now`: what is promised of it now, 0..1.
        """
        key = model, row, least, allowed
        at = self._clock()
        if at - self._fidelities.get(key, -math.inf) < _FIDELITY_EVERY_S:
            return
        self._fidelities[key] = at
        self._fidelities.move_to_end(key)
        if len(self._fidelities) > _ROWS:
            self._fidelities.popitem(last=False)
        verdict = "may serve" if allowed else "no longer serves"
        _report(
            logging.INFO if allowed else logging.WARNING,
            FIDELITY_CHANGED,
            f"{model}: {row} {verdict} calls that ask for a fidelity of {_percent(least)}: this device's pictures "
            f"promise {_percent(now)}",
            about={
                "COLLABD_MODEL": model,
                "COLLABD_ROW": row,
                "COLLABD_LEAST": _percent(least),
                "COLLABD_FIDELITY": _percent(now),
                "COLLABD_VERDICT": verdict,
            },
        )

    def sensed(self, throttling: Measured[Throttling]) -> None:
        """Report if the throttling of the machine has changed to `throttling`."""
        flags = () if isinstance(throttling, NotMeasured) else _raised(throttling.value.now)
        if flags and flags != self._throttled:
            said = ", ".join(flags)
            _report(
                logging.WARNING,
                THROTTLED,
                f"the firmware slows this machine down: {said}",
                about={"COLLABD_FLAGS": said},
            )
        elif self._throttled and not flags:
            _report(logging.INFO, THROTTLING_ENDED, "the firmware no longer slows this machine down", about={})
        self._throttled = flags

    def _kind(self, model: str, budget: Budget) -> _Kind:
        key = model, Caps.of(budget, 0.0).kind
        kind = self._kinds.setdefault(key, _Kind())
        self._kinds.move_to_end(key)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return kind

    def _plan(self, call: str, kind: _Kind, plan: Plan, *, about: dict[str, str]) -> None:
        before, now = kind.plan, self._clock()
        if before is None:
            kind.plan = plan
        if before is plan or before is None or _described(before) == _described(plan) or now - kind.told_at < _EVERY_S:
            return
        kind.plan, kind.told_at = plan, now
        _report(
            logging.INFO,
            PLAN_SWITCHED,
            f"{call}: the plan changes from {_described(before)} to {_described(plan)}",
            about=about
            | {"COLLABD_PLAN_BEFORE": _described(before), "COLLABD_CUT": plan.cut, "COLLABD_CODEC": plan.codec}
            | {"COLLABD_COMPANION": plan.cloud or "", "COLLABD_REASON": plan.reason}
            | {"COLLABD_PRECISION": plan.precision, "COLLABD_LITTLE": plan.little or ""}
            | {"COLLABD_LITTLE_PRECISION": plan.little_precision or ""},
        )

    @staticmethod
    def _deadline(call: str, kind: _Kind, result: Result, *, about: dict[str, str]) -> None:
        if Cap.LATENCY not in result.unmet:
            kind.kept_in_a_row += 1
            return
        if kind.kept_in_a_row >= _KEPT_IN_A_ROW:
            taken_ms = result.measured.latency_ms or 0.0
            _report(
                logging.WARNING,
                DEADLINE_MISSED,
                f"{call} took {taken_ms:.1f} ms with {_described(result.plan)} and missed its deadline"
                + (f": {result.why}" if result.why else ""),
                about=about | {"COLLABD_LATENCY_MS": f"{taken_ms:.3f}", "COLLABD_CUT": result.plan.cut},
            )
        kind.kept_in_a_row = 0


def companion_changed(name: str, *, up: bool) -> None:
    """Report that the companion `name` is available again (`up`), or is lost."""
    about = {"COLLABD_COMPANION": name}
    if up:
        _report(logging.INFO, COMPANION_REGAINED, f"companion {name} is available", about=about)
    else:
        _report(logging.WARNING, COMPANION_LOST, f"companion {name} is lost, calls do without it", about=about)


def companion_moved(name: str, url: str, *, found: bool) -> None:
    """Report that the companion `name` was `found` at another address, or is again where the configuration says."""
    what = "was found at" if found else "is again at"
    _report(
        logging.INFO,
        COMPANION_MOVED,
        f"companion {name} {what} {url}",
        about={"COLLABD_COMPANION": name, "COLLABD_URL": url, "COLLABD_VERDICT": what},
    )


def _described(plan: Plan) -> str:
    """The plan in a few words."""
    where = f"{plan.cut} as {plan.codec} to {plan.cloud or 'no companion'}"
    where = (where if "C" in plan.placement else "all on the device") + _computed(plan.precision)
    if plan.little is None:
        return where
    little = plan.little + _computed(plan.little_precision)
    return f"{little} first, else {where}" if plan.cascade == Cascade.SERIAL else f"{where}, raced by {little}"


def _computed(precision: str | None) -> str:
    return "" if precision in {None, Precision.FP32} else f" in {precision}"


def _raised(flags: Flags) -> tuple[str, ...]:
    return tuple(flag.name.replace("_", " ") for flag in fields(flags) if getattr(flags, flag.name))


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _report(level: int, message_id: str, message: str, *, about: dict[str, str]) -> None:
    log.log(level, message, extra=with_fields({"MESSAGE_ID": message_id} | about))
