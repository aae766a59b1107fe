"""The comparison as a picture that can be read in grey: latency over the rate of the link, for each network."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tests.bench.alternatives.caller import ANY, BARE, DEFAULT, JPEG, LOCAL, RAW
from tests.bench.alternatives.report import Cell, Report

# Line style, marker and grey of each: what a user would write is dashed, collabd is solid.
_STYLES = {
    BARE: ("--", "s", "0.55"),
    JPEG: ("--", "^", "0.55"),
    RAW: ("--", "x", "0.55"),
    LOCAL: ("-", "s", "0.0"),
    DEFAULT: ("-", "o", "0.0"),
    ANY: ("-", "D", "0.35"),
}
_BEST = "collabd, best plan tried"


def plot(report: Report, path: Path) -> None:
    """Write it."""
    kinds = list(dict.fromkeys((cell.network, cell.form, cell.rtt_ms) for cell in report.cells))
    columns = min(len(kinds), 3 if len(kinds) > 4 else 2)
    rows = -(-len(kinds) // columns)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4 * columns, 3 * rows + 0.8), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, (network, form, rtt_ms) in zip(panels, kinds, strict=False):
            cells = [cell for cell in report.cells if (cell.network, cell.form, cell.rtt_ms) == (network, form, rtt_ms)]
            _draw(panel, sorted(cells, key=lambda cell: cell.mbit))
            panel.set_title(f"{network}, {form}, round trip {rtt_ms:g} ms", loc="left")
        for panel in panels[len(kinds) :]:
            panel.set_axis_off()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, dpi=130)


def _draw(panel: Axes, cells: list[Cell]) -> None:
    rates = [cell.mbit for cell in cells]
    for name, (line, marker, grey) in _STYLES.items():
        medians = [cell.ms(name) for cell in cells]
        panel.plot(rates, medians, linestyle=line, marker=marker, color=grey, markersize=4, linewidth=1, label=name)
    best = [median(cell.best.latencies_ms) for cell in cells]
    panel.plot(rates, best, linestyle=":", marker="*", color="0.0", markersize=7, linewidth=1, label=_BEST)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(rates, [f"{rate:g}" for rate in rates], minor=False)
    panel.set_xticks([], minor=True)
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("Mbit/s")
    panel.set_ylabel("latency, ms")
