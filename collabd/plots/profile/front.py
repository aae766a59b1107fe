"""The panel of all plans: predicted latency against promised fidelity, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collab_sdk.vocabulary import TAKEN
from collabd.plots import style
from collabd.plots.kinds import CHOSEN, KINDS, fits, kind_of, name_of
from collabd.plots.labels import Named, name_points
from collabd.plots.style import FAINT, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from collab_sdk.reports import ProfileReport

# Plans below it are counted, not drawn: nobody asks for them, and the others would lie on one line.
LEAST_FIDELITY = 0.8
FRONT = Stroke(style.LINE, "-", 1.0)
FLOOR = Stroke(style.RED, ":", 1.5)


@dataclass(frozen=True, kw_only=True)
class PlotPoint:
    """One plan. `fidelity`: 0..1. `fits`: no cap and no fault speaks against it."""

    name: str
    kind: str
    latency_ms: float
    fidelity: float
    chosen: bool
    fits: bool


def points(report: ProfileReport) -> list[PlotPoint]:
    """The plans of the report whose latency and fidelity are predicted."""
    return [
        PlotPoint(
            name=name_of(cut, codec),
            kind=kind_of(cut, codec, lossless=figures["fidelity"] == 1.0),
            latency_ms=figures["predicted_ms"],
            fidelity=figures["fidelity"],
            chosen=figures["verdict"] in TAKEN,
            fits=fits(figures["verdict"]),
        )
        for cut in report["rows"]
        for codec, figures in cut["codecs"].items()
        if figures["predicted_ms"] is not None and figures["fidelity"] is not None
    ]


def front(plans: Iterable[PlotPoint]) -> Iterator[PlotPoint]:
    """The plans that no other beats in both latency and fidelity, from the fastest on.

    Latencies count to three digits, as they are shown. Of plans that are equal the chosen one stands for all.
    """
    best = -1.0
    for plan in sorted(plans, key=lambda plan: (float(f"{plan.latency_ms:.3g}"), -plan.fidelity, not plan.chosen)):
        if plan.fidelity > best:
            best = plan.fidelity
            yield plan


def draw(axes: Axes, report: ProfileReport, *, cap_ms: float | None) -> None:
    """Every plan by its kind; those that fit no budget are pale. `cap_ms`: the cap on latency, a line."""
    plans = points(report)
    drawn = [plan for plan in plans if plan.fidelity >= LEAST_FIDELITY]
    for kind, mark in KINDS.items():
        alike = [plan for plan in drawn if plan.kind == kind]
        for some, alpha in (([each for each in alike if each.fits], 1.0), ([e for e in alike if not e.fits], FAINT)):
            label = kind if alpha == 1.0 or not any(each.fits for each in alike) else None
            if some:
                axes.plot(*_at(some), markersize=6, alpha=alpha, label=label, **mark.options)
    best = list(front(drawn))
    axes.step(*_at(best), where="post", label="no plan is faster and as faithful", zorder=1, **FRONT.options)
    if (least := report["least_fidelity"]) > LEAST_FIDELITY:
        axes.axhline(least * 100, label=f"least fidelity, {100 * least:.4g} %", **FLOOR.options)
    if cap_ms is not None:
        axes.axvline(cap_ms, label=f"cap {style.number(cap_ms)} ms", **style.CAP.options)
    chosen = [plan for plan in drawn if plan.chosen]
    if chosen:
        axes.plot(*_at(chosen), markersize=15, label="chosen", zorder=4, **CHOSEN.options)
    style.logarithmic(axes, "x")
    style.percents(axes, 100 * LEAST_FIDELITY)
    left_out = len(plans) - len(drawn)
    note = f" ({left_out} plans promise less than {LEAST_FIDELITY:.0%})" if left_out else ""
    axes.set_xlabel(f"predicted latency, ms (logarithmic){note}")
    axes.set_ylabel("promised fidelity, %")
    axes.set_title(_title(chosen, best))
    style.beside(axes)
    axes.margins(x=0.08)
    ours = {id(plan) for plan in (*chosen, *best)}
    name_points(
        axes,
        [
            Named(plan.latency_ms, plan.fidelity * 100, plan.name, bold=plan.chosen)
            for plan in (*chosen, *(plan for plan in best if not plan.chosen))
        ],
        others=[(plan.latency_ms, plan.fidelity * 100) for plan in drawn if id(plan) not in ours],
    )


def _title(chosen: Sequence[PlotPoint], best: Sequence[PlotPoint]) -> str:
    if not chosen:
        return "What fidelity costs in time: every plan"
    (plan, *_) = chosen
    faster = [other for other in best if other.latency_ms < 0.98 * plan.latency_ms]
    less = f"; what is faster promises {100 * max(each.fidelity for each in faster):.4g} % at most" if faster else ""
    return f"Every plan: {plan.name} promises {100 * plan.fidelity:.4g} % in {style.number(plan.latency_ms)} ms{less}"


def _at(plans: Sequence[PlotPoint]) -> tuple[list[float], list[float]]:
    return [plan.latency_ms for plan in plans], [plan.fidelity * 100 for plan in plans]
