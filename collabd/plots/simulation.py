"""The picture of `collabctl simulate --plot`: the latency of each policy over time, collabd's plans, and the link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collabd.plots import style
from collabd.plots.style import Mark, Stroke
from collabd.simulation.report import plan_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collabd.simulation.traces import Trace
    from collabd.simulation.world import Outcome

OURS = "collabd"
# What needs no planner is grey, and published planners are blue. Lines of one colour differ in their style.
LINES = {
    OURS: Stroke(style.GREEN, "-", 2.0),
    "oracle": Stroke(style.BLACK, "-", 0.9),
    "static": Stroke(style.PURPLE, "-.", 1.3),
    "neurosurgeon": Stroke(style.BLUE, (0, (5, 1)), 1.2),
    "dads": Stroke(style.SKY, (0, (3, 1, 1, 1, 1, 1)), 1.4),
    "local": Stroke("0.45", "--"),
    "local_int8": Stroke("0.45", ":"),
    "remote_jpeg": Stroke("0.65", (0, (1, 1))),
    "remote_raw": Stroke("0.65", (0, (1, 4))),
}
# The plans that collabd takes most often have a mark of their own. Other plans are rare.
MARKS = (
    Mark("o", style.BLUE),
    Mark("^", style.ORANGE),
    Mark("s", style.SKY),
    Mark("x", style.RED),
    Mark("D", style.PURPLE),
)
_REST = Mark("+", "0.6")
# Of lines that may lie on one another, the thin one is above.
_ABOVE = {OURS: 3, "oracle": 4}
# Fidelities that differ by no more are alike.
_ALIKE = 0.005
_WINDOWS = 150
_SIZE = (12.0, 7.0)


def plot(runs: Mapping[str, Sequence[Outcome]], trace: Trace, path: Path, *, title: str) -> None:
    """Write it, as PNG or SVG by the file's ending. `title`: the model and the link."""
    with style.picture(path, _SIZE) as figure:
        draw(figure, runs, trace, title=title)


def draw(figure: Figure, runs: Mapping[str, Sequence[Outcome]], trace: Trace, *, title: str) -> None:
    """Draw it into an empty figure: the policies, each request of collabd, and the rate of the link."""
    # A slow policy takes longer for the same requests. After the fastest policy ends there is nothing to compare.
    end_s = min(outcomes[-1].ended_s for outcomes in runs.values())
    heights = (3.0, 2.4, 1.2) if OURS in runs else (3.0, 1.2)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    figure.suptitle(f"{title}{_said(runs)}", x=0.01, ha="left", fontweight="bold")
    _policies(panels[0], runs, end_s)
    if OURS in runs:
        _choices(panels[1], runs[OURS], end_s)
    _rate(panels[-1], trace, end_s)
    style.caption(figure, f"Lines: means over {end_s / _WINDOWS:.2g} s. In brackets: the mean of all requests.")


def _said(runs: Mapping[str, Sequence[Outcome]]) -> str:
    """How collabd did, in a few words."""
    others = {name: _mean_ms(outcomes) for name, outcomes in runs.items() if name not in {OURS, "oracle", "static"}}
    if OURS not in runs or not others:
        return ""
    best = min(others, key=others.__getitem__)
    ratio = _mean_ms(runs[OURS]) / others[best]
    less = ", though it is less faithful" if _fidelity(runs[best]) < _fidelity(runs[OURS]) - _ALIKE else ""
    return f": collabd takes {ratio:.2f} of what {best} takes, the fastest other{less}"


def _policies(axes: Axes, runs: Mapping[str, Sequence[Outcome]], end_s: float) -> None:
    for name, stroke in LINES.items():
        if name in runs:
            faithful = _fidelity(runs[name])
            less = f", {100 * faithful:.3g} % faithful" if faithful < _fidelity(runs.get(OURS, ())) - _ALIKE else ""
            label = f"{name} ({style.number(_mean_ms(runs[name]))} ms{less})"
            axes.plot(*_smooth(runs[name], end_s), label=label, zorder=_ABOVE.get(name, 2), **stroke.options)
    style.logarithmic(axes, "y")
    axes.set_ylabel("latency, ms (logarithmic)")
    axes.set_title("Each policy")
    style.beside(axes)


def _choices(axes: Axes, outcomes: Sequence[Outcome], end_s: float) -> None:
    """Each request of collabd as a point."""
    shown = [outcome for outcome in outcomes if outcome.started_s <= end_s]
    names = [plan_name(outcome) for outcome in shown]
    usual = sorted(dict.fromkeys(names), key=names.count, reverse=True)
    groups = {name: (name, mark) for name, mark in zip(usual, MARKS, strict=False)}
    rest = (f"{len(usual) - len(groups)} other plans", _REST)
    for label, mark in dict.fromkeys(groups.get(name, rest) for name in usual):
        some = [each for each, name in zip(shown, names, strict=True) if groups.get(name, rest)[0] == label]
        at = [each.started_s for each in some], [each.latency_s * 1e3 for each in some]
        axes.plot(*at, markersize=3.5, label=f"{label} ({len(some)})", **mark.options)
    style.logarithmic(axes, "y")
    axes.set_ylabel("latency, ms (log.)")
    axes.set_title(f"The plans of collabd, a point for each of {len(shown)} requests")
    style.beside(axes, markerscale=1.8)


def _mean_ms(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.latency_s for outcome in outcomes])) * 1e3


def _fidelity(outcomes: Sequence[Outcome]) -> float:
    """What the plans promised in the mean, 0..1."""
    return float(np.mean([outcome.plan.fidelity for outcome in outcomes])) if outcomes else 0.0


def _smooth(outcomes: Sequence[Outcome], end_s: float) -> tuple[Sequence[float], Sequence[float]]:
    edges = np.linspace(0, end_s, _WINDOWS + 1)
    shown = [outcome for outcome in outcomes if outcome.started_s <= end_s]
    started = np.array([outcome.started_s for outcome in shown])
    latency = np.array([outcome.latency_s for outcome in shown]) * 1e3
    window = np.clip(np.digitize(started, edges) - 1, 0, _WINDOWS - 1)
    used = np.unique(window)
    return [float(edges[w : w + 2].mean()) for w in used], [float(latency[window == w].mean()) for w in used]


def _rate(axes: Axes, trace: Trace, end_s: float) -> None:
    edges = np.linspace(0, end_s, 4 * _WINDOWS + 1)
    rates = [trace.bytes_between(a, b) / (b - a) * 8 / 1e6 for a, b in pairwise(edges)]
    axes.fill_between(edges[:-1], rates, step="post", color="0.75", linewidth=0)
    axes.set_ylabel("Mbit/s")
    axes.set_title("The link")
    axes.set_xlabel("time, s")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, end_s)
