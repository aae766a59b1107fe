"""A picture of a comparison: the latency of each policy over time, the choices of collabd, and the rate of the link.

Needs matplotlib, which comes with the extra `plot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collabd.simulation.report import plan_name
from collabd.simulation.traces import Trace
from collabd.simulation.world import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colour and line style of each policy. collabd has dots instead of a line.
_LINES = {
    "local": ("0.6", "--"),
    "remote_raw": ("tab:brown", (0, (1, 4))),
    "remote_jpeg": ("tab:brown", ":"),
    "static": ("tab:blue", "-."),
    "neurosurgeon": ("gold", "-"),
    "dads": ("tab:orange", "--"),
    "oracle": ("black", "-"),
}
_OURS = "collabd"
_WINDOWS = 150
# The plans that collabd takes most often have a colour of their own. Other plans are rare.
_COLOURS = ("tab:green", "tab:purple", "tab:red", "tab:cyan", "tab:olive", "tab:pink")


def plot(runs: Mapping[str, Sequence[Outcome]], trace: Trace, path: Path, *, title: str) -> None:
    """Write the picture. Raises `ModuleNotFoundError` without matplotlib, `ValueError` for a suffix it cannot write."""
    import matplotlib as mpl  # noqa: PLC0415  an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        # A slow policy takes longer for the same requests. After the fastest policy ends there is nothing to compare.
        end_s = min(outcomes[-1].ended_s for outcomes in runs.values())
        _latencies(above, runs, end_s)
        _rate(below, trace, end_s)
        above.set_title(title, loc="left")
        figure.savefig(path, dpi=130)


def _latencies(axes: Axes, runs: Mapping[str, Sequence[Outcome]], end_s: float) -> None:
    """Draw the mean latency over time windows as lines, and each request of collabd as a dot in its plan's colour."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415  an extra

    if _OURS in runs:
        _choices(axes, runs[_OURS])
    for name, (colour, style) in _LINES.items():
        if name in runs:
            axes.plot(*_smooth(runs[name], end_s), color=colour, linestyle=style, linewidth=1.0, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("latency, ms")
    axes.grid(axis="y", which="both", alpha=0.2)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=3)


def _choices(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    names = [plan_name(outcome) for outcome in outcomes]
    usual = sorted(set(names), key=names.count, reverse=True)
    for index, name in enumerate(usual):
        chosen = [outcome for outcome, taken in zip(outcomes, names, strict=True) if taken == name]
        colour = _COLOURS[index] if index < len(_COLOURS) else "0.8"
        shown = f"{_OURS}: {name}" if index < len(_COLOURS) else None
        times, latencies = zip(*((one.started_s, one.latency_s * 1e3) for one in chosen), strict=True)
        axes.plot(times, latencies, ".", color=colour, markersize=2.5, label=shown)


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
    axes.fill_between(edges[:-1], rates, step="post", color="tab:blue", alpha=0.35, linewidth=0)
    axes.set_ylabel("link, Mbit/s")
    axes.set_xlabel("s")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, end_s)
