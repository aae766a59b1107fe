"""The report of one answered call: what the SDK returned, as an object for JSON and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypedDict

from collabd.ctl import figures
from collabd.ctl.output import fields, styled, table

if TYPE_CHECKING:
    from rich.text import Text

    from collab_sdk import Result
    from collabd.ctl.tables import Table

# Milliseconds. If the total is below this, the table shows hundredths.
_SHORT_MS = 10.0


class GuessReport(TypedDict):
    """A label and its probability, 0..1."""

    label: str
    score: float


class AnswerReport(TypedDict):
    """One image and its answer: the fields of `collab_sdk.Result`, with the best labels in place of scores."""

    image: str
    model: str
    digest: str
    label: str
    score: float
    top: list[GuessReport]
    plan: dict[str, Any]
    ran: str
    predicted: dict[str, float | None]
    measured: dict[str, float | None]
    energy_mj: float
    energy_source: str
    cost: float
    fidelity: float | None
    bytes_up: int
    bytes_down: int
    budget: str
    budget_met: bool
    unmet: list[str]
    degraded: bool
    why: str


def answer_report(image: str, result: Result, top: int) -> AnswerReport:
    """The printed part of a result."""
    return AnswerReport(
        image=image,
        model=result.model,
        digest=result.digest,
        label=result.label,
        score=result.score,
        top=[GuessReport(label=label, score=score) for label, score in result.top(top)],
        plan=asdict(result.plan),
        ran=result.ran,
        predicted=asdict(result.predicted) | {"other_ms": result.predicted.other_ms},
        measured=asdict(result.measured) | {"other_ms": result.measured.other_ms},
        energy_mj=result.energy_mj,
        energy_source=result.energy_source,
        cost=result.cost,
        fidelity=result.fidelity,
        bytes_up=result.bytes_up,
        bytes_down=result.bytes_down,
        budget=str(result.budget),
        budget_met=result.budget_met,
        unmet=list(result.unmet),
        degraded=result.degraded,
        why=result.why,
    )


def render_answer(report: AnswerReport) -> Iterator[Table]:
    """The answer, then its times, phase by phase."""
    from collab_sdk.text import plain

    predicted, plan = report["predicted"], report["plan"]
    values: dict[str, str | Text] = {
        "image": plain(report["image"]),
        "answer": styled(
            ", ".join(f"{each['label']} {figures.share(each['score'])}" for each in report["top"]), "bold"
        ),
        "model": f"{report['model']} ({figures.short_digest(report['digest'])})",
        "plan": figures.plan(
            plan["cut"], placement=plan["placement"], codec=plan["codec"], cloud=plan["cloud"], reason=plan["reason"]
        ),
        "ran": _ran(report["ran"], plan["cloud"]),
        "sent": f"{figures.size(report['bytes_up'])} bytes up, {figures.size(report['bytes_down'])} bytes down",
        "energy": f"{figures.number(report['energy_mj'])} mJ ({report['energy_source']}), "
        f"predicted {figures.number(predicted['energy_mj'])}",
        "cost": f"{figures.price(report['cost'])}, predicted {figures.price(predicted['cost'])}",
        "fidelity": figures.share(report["fidelity"]),
        "budget": _budget(report),
    }
    yield fields(values | ({"degraded": styled(report["why"], "yellow")} if report["degraded"] else {}))
    yield _times(report)


def _ran(placement: str, cloud: str | None) -> str | Text:
    """The stages in words: most networks have too many layers to show one letter for each."""
    where = {"D": "the device", "C": cloud or "the companion"}
    runs = [(letter, len(list(run))) for letter, run in groupby(placement)]
    return ", then ".join(f"{count} layer{'s' * (count > 1)} on {where[letter]}" for letter, count in runs)


def _budget(report: AnswerReport) -> str | Text:
    budget = report["budget"] or "no caps"
    if report["budget_met"]:
        return f"{budget}, met"
    return styled(f"{budget}, missed: {', '.join(report['unmet'])}", "yellow")


def _times(report: AnswerReport) -> Table:
    """One row for each phase; the shown times of each column add up to its shown total."""
    from collab_sdk.result import PHASES

    columns = [_added_up(report[kind], PHASES) for kind in ("predicted", "measured")]
    built = table("phase", ">predicted ms", ">measured ms")
    for name in (*PHASES, "other", "total"):
        if any(name in column for column in columns):
            built.add_row(name.replace("_", " "), *(column.get(name, figures.UNKNOWN) for column in columns))
    return built


def _added_up(times: dict[str, float | None], phases: tuple[str, ...]) -> dict[str, str]:
    """The measured times as text, with equally many digits; "other" takes up the rounding errors."""
    total_ms = times["latency_ms"]
    digits = 2 if total_ms is not None and total_ms < _SHORT_MS else 1
    shown = {phase: round(ms, digits) for phase in phases if (ms := times[f"{phase}_ms"]) is not None}
    if total_ms is not None:
        total = round(total_ms, digits)
        shown |= {"other": round(total - sum(shown.values()), digits) + 0.0, "total": total}
    return {name: f"{ms:.{digits}f}" for name, ms in shown.items()}
