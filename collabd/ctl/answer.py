"""The report of one answered call: what the SDK returned, as an object for JSON and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from collabd.ctl import figures
from collabd.ctl.output import fields, styled, table

if TYPE_CHECKING:
    from rich.text import Text

    from collab_sdk import Result
    from collabd.ctl.tables import Table

# How many objects, or classes of a mask, the line of the answer names.
_NAMED = 3
# Milliseconds. If the total is below this, the table shows hundredths.
_SHORT_MS = 10.0


class GuessReport(TypedDict):
    """A label and its probability, 0..1."""

    label: str
    score: float


class DetectionReport(TypedDict):
    """An object: its class, the confidence 0..1, and its box (x1, y1, x2, y2) in pixels of the image."""

    class_name: str
    class_id: int
    confidence: float
    xyxy: list[float]


class ShareReport(TypedDict):
    """A class of a mask and its share of the image, 0..1."""

    class_name: str
    share: float


class MaskReport(TypedDict):
    """The size of a mask, and the classes in it. The mask itself: `collabctl infer --save`, or `--draw`."""

    width: int
    height: int
    shares: list[ShareReport]


class OutputReport(TypedDict):
    """An array that the network gave. Its values: `collabctl infer --save`."""

    name: str
    dtype: str
    shape: list[int]


class AnswerReport(TypedDict):
    """One image and its answer: the fields of `collab_sdk.Result`, with the answer of the task in figures.

    `label`, `score` and `top` are those of a classifier, `detections` those of a detector, `mask` that of a segmenter,
    and `outputs` those of a network of the task "tensors".
    """

    image: str
    model: str
    digest: str
    task: str
    image_width: int | None
    image_height: int | None
    label: NotRequired[str]
    score: NotRequired[float]
    top: NotRequired[list[GuessReport]]
    detections: NotRequired[list[DetectionReport]]
    mask: NotRequired[MaskReport]
    outputs: NotRequired[list[OutputReport]]
    plan: dict[str, Any]
    ran: str
    ran_on: str | None
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
    computed_in: str | None
    answered_by: str | None
    inherited_age_s: float | None


def answer_report(image: str, result: Result, top: int) -> AnswerReport:
    """The printed part of a result."""
    report = AnswerReport(
        image=image,
        model=result.model,
        digest=result.digest,
        task=result.task,
        image_width=result.image_width,
        image_height=result.image_height,
        plan=asdict(result.plan),
        ran=result.ran,
        ran_on=result.ran_on,
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
        computed_in=result.computed_in,
        answered_by=result.answered_by,
        inherited_age_s=result.inherited_age_s,
    )
    _add_answer(report, result, top)
    return report


def _add_answer(report: AnswerReport, result: Result, top: int) -> None:
    from collab_sdk import Classification, Detections, Segmentation

    match result.answer:
        case Classification() as said:
            report["label"], report["score"] = said.label, said.score
            report["top"] = [GuessReport(label=label, score=score) for label, score in said.top(top)]
        case Detections() as found:
            report["detections"] = [
                DetectionReport(
                    class_name=each.class_name,
                    class_id=each.class_id,
                    confidence=each.confidence,
                    xyxy=[*each.xyxy],
                )
                for each in found
            ]
        case Segmentation(mask=mask) as shown:
            shares = [ShareReport(class_name=name, share=share) for name, share in shown.shares()]
            report["mask"] = MaskReport(width=mask.shape[1], height=mask.shape[0], shares=shares)
        case outputs:
            report["outputs"] = [
                OutputReport(name=name, dtype=str(array.dtype), shape=[*array.shape]) for name, array in outputs.items()
            ]


def _where(report: AnswerReport) -> str | Text:
    """Where the layers ran, and in which precision if it is not that of the plan."""
    plan, computed = report["plan"], report["computed_in"]
    other = "" if computed in {None, plan["precision"]} else f", in {computed}"
    return _ran(report["ran"], report["ran_on"] or plan["cloud"]) + other


def render_answer(report: AnswerReport) -> Iterator[Table]:
    """The answer, then its times, phase by phase."""
    from collab_sdk.text import plain

    predicted, plan = report["predicted"], report["plan"]
    values: dict[str, str | Text] = {
        "image": plain(report["image"]),
        "answer": styled(_in_words(report), "bold"),
        "model": f"{report['model']} ({figures.short_digest(report['digest'])})",
        "plan": figures.plan(plan),
        "ran": _where(report) if report["answered_by"] is None else report["why"],
        "sent": f"{figures.size(report['bytes_up'])} bytes up, {figures.size(report['bytes_down'])} bytes down",
        "energy": f"{figures.number(report['energy_mj'])} mJ ({report['energy_source']}), "
        f"predicted {figures.number(predicted['energy_mj'])}",
        "cost": f"{figures.price(report['cost'])}, predicted {figures.price(predicted['cost'])}",
        "fidelity": figures.share(report["fidelity"]),
        "budget": _budget(report),
    }
    if report["why"]:
        values["degraded" if report["degraded"] else "why"] = styled(report["why"], "yellow" * report["degraded"])
    yield fields(values)
    yield from _details(report)
    yield _times(report)


def _in_words(report: AnswerReport) -> str:
    """The answer in a line; a classifier's has as many labels as were asked for."""
    from collab_sdk.answers import is_background

    if "top" in report:
        return ", ".join(f"{each['label']} {figures.share(each['score'])}" for each in report["top"])
    if "detections" in report:
        found = [f"{each['class_name']} {figures.share(each['confidence'])}" for each in report["detections"]]
        return _the_first(found) or "nothing found"
    if "mask" in report:
        # What the image shows is said before what is behind it.
        ordered = sorted(report["mask"]["shares"], key=lambda each: is_background(each["class_name"]))
        shares = [f"{each['class_name']} {figures.share(each['share'])}" for each in ordered]
        return f"{_the_first(shares)} of {report['mask']['width']}x{report['mask']['height']} pixels"
    return _the_first([f"{each['name']} {each['dtype']} {each['shape']}" for each in report.get("outputs", [])])


def _the_first(parts: list[str]) -> str:
    more = len(parts) - _NAMED
    return ", ".join(parts[:_NAMED]) + (f", {more} more" if more > 0 else "")


def _details(report: AnswerReport) -> Iterator[Table]:
    """One row for each object, class of a mask, or output."""
    if found := report.get("detections"):
        built = table("object", ">confidence", ">x", ">y", ">width", ">height")
        for each in found:
            x1, y1, x2, y2 = each["xyxy"]
            numbers = [f"{number:.0f}" for number in (x1, y1, x2 - x1, y2 - y1)]
            built.add_row(each["class_name"], figures.share(each["confidence"]), *numbers)
        yield built
    if "mask" in report:
        built = table("class", ">share")
        for part in report["mask"]["shares"]:
            built.add_row(part["class_name"], figures.share(part["share"]))
        yield built
    if outputs := report.get("outputs"):
        built = table("output", "dtype", "shape")
        for output in outputs:
            built.add_row(output["name"], output["dtype"], str(output["shape"]))
        yield built


def _ran(placement: str, cloud: str | None) -> str | Text:
    """The stages in words: most networks have too many layers to show one letter for each."""
    if not placement:
        return "no layer"
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
