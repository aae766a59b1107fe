"""Turns the outcomes into figures: which calls were answered, wrong or lost, and which deadlines were kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collabd.config import PlanningSettings
from tests.chaos.clients import Answer, Outcome
from tests.chaos.faults import Window
from tests.chaos.orders import LOCAL, NO_DEADLINE, SHARES
from tests.chaos.reference import Reference
from tests.chaos.run import Happened
from tests.chaos.schedule import KINDS

# What calls ask for that state no fidelity.
CAP = PlanningSettings().min_fidelity
# Deadlines that the device alone could keep, and how many of them must be.
KEEPABLE = ("1.5 x p99", "4 x p99")
LEAST_KEPT = 0.999
# One miss in fewer than 1,000 calls says nothing about 1,000. A daemon that keeps exactly 99.9 % of the deadlines
# misses one or more of 590 in 45 of 100 runs. With fewer calls than this, it does so in less than 10 of 100 runs.
_TELLING = 100
# This many more open files than before are a leak: either side may keep a few connections alive.
_MORE_HANDLES = 16
# Calls that waited for collabd's restart delay the calls after it, by at most this many seconds.
_BACKLOG_S = 2.0
_PERMITTED = "CompanionUnavailable"
# Seven other clients may take the core between the SDK's clock reading and ours, but not for this many milliseconds.
_CLOCKS_DIFFER_MS = 1000.0


@dataclass(frozen=True)
class Judged:
    """An outcome, the faults at work during it, and whether its answer was wrong, and by how much."""

    outcome: Outcome
    faults: frozenset[str]
    down: bool
    wrong: str

    @property
    def lost(self) -> bool:
        """Neither an answer, nor the error that the call itself permits."""
        one = self.outcome
        permitted = one.order.fallback == "fail" and one.error.startswith(_PERMITTED)
        return one.answer is None and not permitted

    @property
    def kept(self) -> bool:
        """Whether the answer came within the deadline."""
        one = self.outcome
        return one.answer is not None and self.late_ms <= 0

    @property
    def late_ms(self) -> float:
        """How long after its deadline it ended, by the client's clock; below 0: before it."""
        return self.outcome.latency_ms - (self.outcome.order.deadline_ms or np.inf)

    @property
    def lied(self) -> bool:
        """Whether the result says that the budget was met although the caller saw it missed."""
        answer = self.outcome.answer
        return answer is not None and answer.budget_met and self.late_ms > _CLOCKS_DIFFER_MS


def judge(happened: Happened) -> dict[str, Any]:
    """The whole report, as JSON has it."""
    reference = Reference(happened.packages, happened.images)
    down = _down(happened)
    judged = [_judged(one, happened, down, reference) for one in happened.outcomes]
    asked = [one for one in judged if one.outcome.order.fallback != "fail"]
    failing = [one for one in judged if one.outcome.order.fallback == "fail"]
    report: dict[str, Any] = {
        "seed": happened.settings.seed,
        "skipped": happened.without,
        "alone": {name: _alone(happened, name) for name in happened.packages},
        "calls": _calls(asked),
        "calls_with_fallback_fail": _calls(failing),
        "agreement": _agreement(judged, reference),
        "why_degraded": dict(Counter(_kind_of(one.outcome) for one in judged if _degraded(one)).most_common()),
        "deadlines": {kind: _deadlines(judged, kind) for kind in SHARES if kind != NO_DEADLINE},
        "faults": {kind: _under(kind, judged, happened.windows) for kind in KINDS if kind not in happened.without},
        "no fault": _figures([one for one in judged if not one.faults]),
        "missed": [_late(one) for one in judged if _missed(one)],
        "open_files": {side: list(counts) for side, counts in happened.handles.items()},
    }
    return report | {"failures": _failures(report, judged, happened)}


def _agreement(judged: Sequence[Judged], reference: Reference) -> dict[str, dict[str, Any]]:
    """By network, and who answered: how often that was the unsplit fp32 network's label, where this is sure.

    Of calls that left the plan to collabd, which answered them within the least fidelity of its configuration.
    """
    counts: dict[str, Counter[str]] = {}
    for one in judged:
        order, answer = one.outcome.order, one.outcome.answer
        if answer is None or order.cut is not None:
            continue
        sure, agrees = reference.is_sure(order), reference.agrees(order, answer)
        found = Counter(answered=1, sure=int(sure), agreed=int(sure and agrees), agreed_of_all=int(agrees))
        for row in ("all", order.model, f"{order.model}: {_who(answer)}"):
            counts.setdefault(row, Counter()).update(found)
    return {
        row: {**found, "share": round(found["agreed"] / found["sure"], 4) if found["sure"] else None, "asked_for": CAP}
        for row, found in sorted(counts.items())
    }


def _who(answer: Answer) -> str:
    if answer.answered_by is not None:
        return f"{answer.answered_by} in {answer.little_precision}"
    return f"itself in {answer.precision}" + ("" if answer.little_precision is None else ", behind its little network")


def _judged(outcome: Outcome, happened: Happened, down: Sequence[Window], reference: Reference) -> Judged:
    wrong = ""
    if outcome.answer is not None:
        error, tolerance = reference.error(outcome.order, outcome.answer)
        if not error <= tolerance:
            wrong = f"off by {error:.2g}, {tolerance:g} allowed: {_described(outcome)}"
    faults = frozenset(window.kind for window in happened.windows if _overlap(outcome, window))
    return Judged(outcome, faults, any(_overlap(outcome, window) for window in down), wrong)


def _down(happened: Happened) -> list[Window]:
    """Whether collabd did not run at this time, or still served the calls that had waited for it."""
    return [
        replace(window, ended_s=min(max(_ends(window, happened)), window.ended_s + _BACKLOG_S))
        for window in happened.down
    ]


def _ends(window: Window, happened: Happened) -> list[float]:
    return [window.ended_s, *(one.ended_s for one in happened.outcomes if _overlap(one, window))]


def _overlap(outcome: Outcome, window: Window) -> bool:
    return outcome.began_s < window.ended_s and window.began_s < outcome.ended_s


def _degraded(one: Judged) -> bool:
    return one.outcome.answer is not None and one.outcome.answer.degraded


def _calls(judged: Sequence[Judged]) -> dict[str, int]:
    answers = [one.outcome.answer for one in judged if one.outcome.answer is not None]
    return {
        "asked": len(judged),
        "answered": len(answers),
        "permitted errors": sum(one.outcome.answer is None and not one.lost for one in judged),
        "on the device alone": sum("C" not in answer.ran for answer in answers),
        "by the companion alone": sum("D" not in answer.ran for answer in answers),
        "by both": sum({"C", "D"} <= set(answer.ran) for answer in answers),
        "degraded": sum(answer.degraded for answer in answers),
        "wrong": sum(bool(one.wrong) for one in judged),
        "lost": sum(one.lost for one in judged),
    }


def _alone(happened: Happened, model: str) -> dict[str, float]:
    ms = [one.latency_ms for one in happened.alone if one.order.model == model]
    p50, p99 = np.quantile(ms, [0.5, 0.99])
    deadlines = {kind: happened.deadlines_ms[model, kind] for kind in SHARES if kind not in {NO_DEADLINE, LOCAL}}
    return {"calls": len(ms), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)} | deadlines


def _deadlines(judged: Iterable[Judged], kind: str) -> dict[str, Any]:
    mine = [one for one in judged if one.outcome.order.deadline == kind]
    counted = [one for one in mine if not one.down]
    kept = sum(one.kept for one in counted)
    return {
        "asked": len(mine),
        "while collabd was down": len(mine) - len(counted),
        "counted": len(counted),
        "kept": kept,
        "share": round(kept / len(counted), 5) if counted else None,
    }


def _missed(one: Judged) -> bool:
    return one.outcome.order.deadline in KEEPABLE and not (one.down or one.kept)


def _late(one: Judged) -> str:
    outcome = one.outcome
    faults = ", ".join(sorted(one.faults)) or "no fault"
    return f"{outcome.latency_ms:.0f} ms for {outcome.order.deadline_ms:.0f}: {_described(outcome)} under {faults}"


def _under(kind: str, judged: Iterable[Judged], windows: Iterable[Window]) -> dict[str, Any]:
    mine = [window for window in windows if window.kind == kind]
    seconds = sum(window.ended_s - window.began_s for window in mine)
    return {"times": len(mine), "seconds": round(seconds, 1)} | _figures([one for one in judged if kind in one.faults])


def _figures(judged: Sequence[Judged]) -> dict[str, Any]:
    answered = [one for one in judged if one.outcome.answer is not None]
    p50, p99 = np.quantile([one.outcome.latency_ms for one in answered], [0.5, 0.99]) if answered else (None, None)
    return {
        "calls": len(judged),
        "answered": len(answered),
        "degraded": sum(map(_degraded, answered)),
        "p50_ms": None if p50 is None else round(float(p50), 1),
        "p99_ms": None if p99 is None else round(float(p99), 1),
    }


def _kind_of(outcome: Outcome) -> str:
    """The reason without its figures and addresses."""
    why = outcome.answer.why if outcome.answer is not None else ""
    why = re.sub(r"https?://\S+|sha256:\w+", "…", why)
    return re.sub(r"\d[\d.,]*", "N", why)[:110]


def _failures(report: dict[str, Any], judged: Sequence[Judged], happened: Happened) -> list[str]:
    found = [f"wrong: {one.wrong}" for one in judged if one.wrong]
    found += [
        f"lost: {one.outcome.error}: {_described(one.outcome)} {sorted(one.faults)}" for one in judged if one.lost
    ]
    found += [f"said to be met: {_late(one)}" for one in judged if one.lied]
    rows = [report["deadlines"][kind] for kind in KEEPABLE]
    counted, kept = sum(row["counted"] for row in rows), sum(row["kept"] for row in rows)
    report["keepable"] = {"counted": counted, "kept": kept, "share": round(kept / counted, 5) if counted else None}
    missing = [kind for kind, row in report["faults"].items() if not row["times"]]
    found += [f"never injected: {kind}" for kind in missing]
    for side, (before, after) in happened.handles.items():
        if after > before + _MORE_HANDLES:
            found.append(f"{side}: {before} open files before the faults, {after} after them")
    return found + happened.unhealthy


def too_late(report: dict[str, Any]) -> list[str]:
    """Deadlines missed that the device alone could keep, if too many were."""
    row = report["keepable"]
    missed, counted = row["counted"] - row["kept"], row["counted"]
    if missed > (1 if counted >= _TELLING else 0) and row["kept"] < LEAST_KEPT * counted:
        return [f"deadlines that the device alone could keep: {row['kept']} of {row['counted']} kept"]
    return []


def _described(outcome: Outcome) -> str:
    order, answer = outcome.order, outcome.answer
    asked = f"{order.model} {order.form} {order.image} budget {order.budget} cut {order.cut} codec {order.codec}"
    return asked if answer is None else f"{asked}; {answer.cut}/{answer.codec} ran {answer.ran} ({answer.why})"
