"""Several calls: what was predicted for each, what it took, and how it was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from collab_sdk.budget import Budget
from collab_sdk.vocabulary import TAKEN
from collabd.plots import style
from collabd.plots.kinds import KINDS, kind_of
from collabd.plots.style import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collab_sdk.reports import DecisionReport

PREDICTED = Mark("_", style.BLACK)
# Which calls are ringed.
_RINGS: Mapping[str, tuple[Mark, Callable[[DecisionReport], bool]]] = {
    "over budget": (Mark("o", style.RED, hollow=True), lambda call: not call["budget_met"]),
    "degraded": (Mark("s", style.LINE, hollow=True), lambda call: call["degraded"]),
}
# Latencies that differ by more than this factor are drawn on a logarithmic axis.
_WIDE = 5.0
_LITTLE = "a little network answered"
_MARKS = KINDS | {_LITTLE: Mark("d", style.GREEN)}


def by_model(decisions: Sequence[DecisionReport]) -> dict[str, list[DecisionReport]]:
    """The calls of each model, oldest first."""
    found: dict[str, list[DecisionReport]] = {}
    for decision in reversed(decisions):
        found.setdefault(decision["model"], []).append(decision)
    return found


def draw(figure: Figure, models: Mapping[str, Sequence[DecisionReport]]) -> None:
    """Draw it into an empty figure: a panel a model."""
    panels = figure.subplots(len(models), 1, squeeze=False)[:, 0]
    count = sum(map(len, models.values()))
    figure.suptitle(f"The last {count} calls: predicted and measured", x=0.01, ha="left", fontweight="bold")
    for axes, (model, calls) in zip(panels, models.items(), strict=True):
        _panel(axes, model, calls)
    panels[-1].set_xlabel("call, the oldest first")
    style.caption(figure, "The line of a call leads from what was predicted to what the caller waited.")


def kind(decision: DecisionReport) -> str:
    """How a call was answered: one of `KINDS`, or that a little network was sure."""
    if decision["answered_by"] is not None:
        return _LITTLE
    taken = [plan for plan in decision["candidates"] if plan["verdict"] in TAKEN]
    lossless = not taken or taken[0]["fidelity"] == 1.0
    return kind_of(decision, decision["codec"], lossless=lossless)


def _panel(axes: Axes, model: str, calls: Sequence[DecisionReport]) -> None:
    kinds = [kind(call) for call in calls]
    for place, call in enumerate(calls, 1):
        if call["predicted_ms"] is not None:
            ends = [call["predicted_ms"], call["measured_ms"]]
            axes.plot([place] * 2, ends, color=style.QUIET, linewidth=0.8, zorder=1)
    predicted = [(place, call["predicted_ms"]) for place, call in enumerate(calls, 1) if call["predicted_ms"]]
    if predicted:
        axes.plot(*zip(*predicted, strict=True), markersize=9, label="predicted", **PREDICTED.options)
    for name, mark in _MARKS.items():
        at = [(place, call["measured_ms"]) for place, call in enumerate(calls, 1) if kinds[place - 1] == name]
        if at:
            axes.plot(*zip(*at, strict=True), markersize=6, label=f"{name} ({len(at)})", zorder=3, **mark.options)
    for word, (mark, ringed) in _RINGS.items():
        at = [(place, call["measured_ms"]) for place, call in enumerate(calls, 1) if ringed(call)]
        if at:
            axes.plot(*zip(*at, strict=True), markersize=12, label=f"{word} ({len(at)})", zorder=2, **mark.options)
    _caps(axes, calls)
    _scale(axes, [each for call in calls for each in (call["predicted_ms"], call["measured_ms"]) if each])
    axes.set_xlim(0.3, len(calls) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_title(model, calls))
    style.beside(axes)


def _scale(axes: Axes, shown_ms: Sequence[float]) -> None:
    """Logarithmic, unless what is shown differs by little."""
    if max(shown_ms, default=1.0) > _WIDE * min(shown_ms, default=1.0):
        style.logarithmic(axes, "y")
        axes.set_ylabel("latency, ms (logarithmic)")
        axes.margins(y=0.15)
    else:
        axes.set_ylim(0, 1.2 * max([*shown_ms, axes.get_ylim()[1] / 1.1]))
        axes.set_ylabel("latency, ms")


def _caps(axes: Axes, calls: Sequence[DecisionReport]) -> None:
    """A piece of line over each call whose budget has a cap on latency."""
    label: str | None = "cap on latency"
    for place, call in enumerate(calls, 1):
        cap_ms = Budget.parse(call["budget"]).latency_ms
        if cap_ms is not None:
            axes.plot([place - 0.5, place + 0.5], [cap_ms] * 2, label=label, zorder=1, **style.CAP.options)
            label = None


def _title(model: str, calls: Sequence[DecisionReport]) -> str:
    errors = [abs(c["measured_ms"] - c["predicted_ms"]) / c["measured_ms"] for c in calls if c["predicted_ms"]]
    off = f", predictions off by {100 * median(errors):.0f} % in the median" if errors else ""
    missed = sum(not call["budget_met"] for call in calls)
    return f"{model}: {len(calls)} calls{off}{f', {missed} over budget' if missed else ''}"
