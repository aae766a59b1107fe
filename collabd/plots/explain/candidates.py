"""All candidates of one decision: what each was predicted to take, which was chosen, and why the others were not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collab_sdk.budget import Budget
from collab_sdk.vocabulary import TAKEN, Objective, Reason
from collabd.plots import style
from collabd.plots.kinds import CHOSEN, VERDICTS, fits, name_of
from collabd.plots.labels import Named, name_points
from collabd.plots.style import Mark, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collab_sdk.reports import CandidateReport, DecisionReport

MEASURED = Stroke(style.BLACK, ":", 1.6)
_UNKNOWN = Mark("h", style.LINE, hollow=True)
# Percent. Plans below it are drawn on the lowest line.
_LEAST = 80.0
_COST = "cost, millionths of\nthe prices' currency"
# So many plans beside the chosen one are named.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What is drawn upwards. `cap`: the most that the budget allows; of fidelity the least."""

    label: str
    value: Callable[[CandidateReport], float]
    cap: float | None
    percent: bool = False


def panels_of(decision: DecisionReport) -> list[Panel]:
    """Energy; cost where the budget speaks of it; fidelity where the plans differ in it."""
    budget, plans = Budget.parse(decision["budget"]), decision["candidates"]
    found = [Panel(label="energy, mJ", value=lambda plan: plan["energy_mj"], cap=budget.energy_mj)]
    if budget.cost is not None or budget.objective == Objective.COST:
        most = None if budget.cost is None else 1e6 * budget.cost
        found.append(Panel(label=_COST, value=lambda plan: 1e6 * plan["cost"], cap=most))
    if len({plan["fidelity"] for plan in plans}) > 1:
        least = None if budget.fidelity is None else 100 * budget.fidelity
        found.append(Panel(label="promised fidelity, %", value=_percent, cap=least, percent=True))
    return found


def draw(figure: Figure, decision: DecisionReport) -> None:
    """Draw it into an empty figure: a panel below another, each over the predicted latency."""
    plans = decision["candidates"]
    panels = panels_of(decision)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for each, panel in zip(axes, panels, strict=True):
        _panel(each, panel, decision)
    _margins(axes[0], panels[0], decision)
    style.logarithmic(axes[0], "x")
    axes[0].margins(x=0.08)
    axes[-1].set_xlabel("predicted latency, ms (logarithmic)")
    figure.suptitle(_heading(decision), x=0.01, ha="left", fontweight="bold")
    axes[0].set_title(_title(decision))
    style.beside(axes[0])
    style.caption(figure, _CAPTION)
    value = panels[0].value
    name_points(
        axes[0],
        [
            Named(plan["predicted_ms"], value(plan), name_of(plan, plan["codec"]), bold=plan["verdict"] in TAKEN)
            for plan in _worth_a_name(plans)
        ],
        others=[(plan["predicted_ms"], value(plan)) for plan in plans],
    )


_CAPTION = (
    "Each point is a plan that was considered for this call. A cap on latency is held against what nearly all calls "
    "stay under: the end of a plan's line to the right. Above, the lines of the chosen plan and of those that cross "
    "the cap are drawn."
)

_SAID: Mapping[str, str] = {
    Reason.CHOSEN: "was chosen of {} plans",
    Reason.EXPLORED: "was tried, of {} plans",
    Reason.KEPT: "was kept, of {} plans",
    Reason.NEAREST: "comes nearest to the budget, which none of {} plans keeps",
}


def _panel(axes: Axes, panel: Panel, decision: DecisionReport) -> None:
    plans, cap_ms = decision["candidates"], Budget.parse(decision["budget"]).latency_ms
    groups: dict[str, list[CandidateReport]] = {}
    for plan in plans:
        groups.setdefault(plan["verdict"], []).append(plan)
    marks = {str(verdict): mark for verdict, mark in VERDICTS.items()}
    marks |= {verdict: _UNKNOWN for verdict in groups if verdict not in marks and verdict not in TAKEN}
    for verdict, mark in marks.items():
        if (some := groups.get(verdict)) is None:
            continue
        axes.plot(*_at(some, panel), markersize=6, label=f"{verdict} ({len(some)})", **mark.options)
    for verdict in filter(groups.__contains__, TAKEN):
        axes.plot(*_at(groups[verdict], panel), markersize=15, label=verdict, zorder=4, **CHOSEN.options)
    if cap_ms is not None:
        axes.axvline(cap_ms, label=f"cap {style.number(cap_ms)} ms", **style.CAP.options)
    measured = style.number(decision["measured_ms"])
    axes.axvline(decision["measured_ms"], label=f"measured {measured} ms", **MEASURED.options)
    if panel.cap is not None:
        axes.axhline(panel.cap, **style.CAP.options)
    if panel.percent:
        style.percents(axes, _LEAST)
    elif all(panel.value(plan) > 0 for plan in plans):
        style.logarithmic(axes, "y")
    axes.set_ylabel(panel.label)


def _margins(axes: Axes, panel: Panel, decision: DecisionReport) -> None:
    """Lines from what is predicted to what nearly all calls stay under."""
    cap_ms = Budget.parse(decision["budget"]).latency_ms
    for plan in decision["candidates"]:
        taken = plan["verdict"] in TAKEN
        crosses = cap_ms is not None and plan["predicted_ms"] < cap_ms < plan["deadline_ms"]
        if taken or crosses:
            ends = [plan["predicted_ms"], plan["deadline_ms"]]
            axes.plot(ends, [panel.value(plan)] * 2, color=style.BLACK if taken else "0.75", linewidth=0.8, zorder=1)


def _worth_a_name(plans: Sequence[CandidateReport]) -> list[CandidateReport]:
    """The chosen one, the fastest of those that fit, and the fastest for each other verdict."""
    taken = [plan for plan in plans if plan["verdict"] in TAKEN]
    rest = sorted((plan for plan in plans if plan not in taken), key=lambda plan: plan["predicted_ms"])
    firsts = {plan["verdict"]: plan for plan in reversed(rest)}
    alone = [plan for plan in rest if plan["cloud"] is None][:1]
    named = [*firsts.values(), *alone, *(plan for plan in rest if fits(plan["verdict"]))]
    return [*taken, *(plan for place, plan in enumerate(named) if plan not in named[:place])][: _NAMED + len(taken)]


def _heading(decision: DecisionReport) -> str:
    chosen = next(plan for plan in decision["candidates"] if plan["verdict"] in TAKEN)
    said = _SAID.get(decision["reason"], "was taken, of {} plans").format(len(decision["candidates"]))
    return f"{decision['model']}: {name_of(chosen, chosen['codec'])} {said}"


def _title(decision: DecisionReport) -> str:
    predicted = "nothing" if decision["predicted_ms"] is None else f"{style.number(decision['predicted_ms'])} ms"
    kept = "kept" if decision["budget_met"] else "missed"
    budget = f"budget {decision['budget']}: {kept}" if decision["budget"] else "no caps"
    why = f"; {decision['why']}" if decision["why"] else ""
    return f"predicted {predicted}, measured {style.number(decision['measured_ms'])} ms; {budget}{why}"


def _at(plans: Sequence[CandidateReport], panel: Panel) -> tuple[list[float], list[float]]:
    return [plan["predicted_ms"] for plan in plans], [panel.value(plan) for plan in plans]


def _percent(plan: CandidateReport) -> float:
    return max(100 * plan["fidelity"], _LEAST)
