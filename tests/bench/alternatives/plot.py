"""The comparison as two pictures: latency over the rate of the link, and every cell's ratio to the alternatives.

`python -m tests.bench.alternatives.plot build/bench/alternatives.json` draws them again, beside the file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collabd.plots import style
from collabd.plots.style import Mark, Stroke
from tests.bench.alternatives.caller import ANY, BARE, BARE_INT8, DEFAULT, JPEG, LOCAL, RAW
from tests.bench.alternatives.report import RATIOS, Cell, Report, geometric_mean

_BEST = "collabd, best plan tried"
# What a user would write is dashed and grey, collabd is solid.
STYLES = {
    BARE: (Stroke("0.55", "--"), Mark("s", "0.55")),
    BARE_INT8: (Stroke("0.55", "--"), Mark("v", "0.55")),
    JPEG: (Stroke("0.55", "--"), Mark("^", "0.55")),
    RAW: (Stroke("0.55", "--"), Mark("x", "0.55")),
    LOCAL: (Stroke(style.BLACK), Mark("s", style.BLACK)),
    DEFAULT: (Stroke(style.BLUE, "-", 1.8), Mark("o", style.BLUE)),
    ANY: (Stroke(style.GREEN), Mark("D", style.GREEN, hollow=True)),
    _BEST: (Stroke(style.PURPLE, ":"), Mark("*", style.PURPLE)),
}
# The ratios of the report that are drawn; the first one orders the cells.
RATIO_MARKS = {
    "out of the box / best simple alternative": Mark("o", style.BLUE),
    "out of the box / always JPEG": Mark("^", "0.45", hollow=True),
    "best plan / best simple alternative": Mark("*", style.PURPLE),
}
ENDINGS = ("", "-ratios")


def plot(report: Report, path: Path) -> None:
    """Write both, the ratios beside `path`."""
    latencies, ratios = (path.with_stem(path.stem + ending) for ending in ENDINGS)
    kinds = list(dict.fromkeys((cell.network, cell.form, cell.rtt_ms) for cell in report.cells))
    columns = min(len(kinds), 3 if len(kinds) > 4 else 2)
    rows = -(-len(kinds) // columns)
    with style.picture(latencies, (max(4.2 * columns, 7.0), 3 * rows + 1.2)) as figure:
        draw_latencies(figure, report, rows=rows, columns=columns)
    with style.picture(ratios, (9.5, 1.9 + 0.26 * len(report.cells))) as figure:
        draw_ratios(figure, report)


def draw_latencies(figure: Figure, report: Report, *, rows: int, columns: int) -> None:
    """A panel for each network, form of its images and round trip."""
    kinds = list(dict.fromkeys((cell.network, cell.form, cell.rtt_ms) for cell in report.cells))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    named: dict[str, Any] = {}
    for panel, (network, form, rtt_ms) in zip(panels, kinds, strict=False):
        cells = [cell for cell in report.cells if (cell.network, cell.form, cell.rtt_ms) == (network, form, rtt_ms)]
        _latencies(panel, sorted(cells, key=lambda cell: cell.mbit))
        panel.set_title(f"{network}, {form}, round trip {rtt_ms:g} ms")
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    for panel in panels[len(kinds) :]:
        panel.set_axis_off()
    figure.legend([*named.values()], [*named], loc="outside lower center", ncols=4)
    figure.suptitle("Latency over the rate of the link: the lowest line wins", x=0.01, ha="left", fontweight="bold")


def _latencies(panel: Axes, cells: list[Cell]) -> None:
    rates = [cell.mbit for cell in cells]
    for name, (stroke, mark) in STYLES.items():
        if name == _BEST:
            medians = [cell.usual_ms(cell.best) for cell in cells]
        elif all(cell.has(name) for cell in cells):
            medians = [cell.ms(name) for cell in cells]
        else:
            continue
        panel.plot(
            rates, medians, markersize=9 if mark.marker == "*" else 5, label=name, **mark.options | stroke.options
        )
    style.logarithmic(panel, "x")
    style.logarithmic(panel, "y")
    panel.set_xticks(rates, [f"{rate:g}" for rate in rates], minor=False)
    panel.set_xticks([], minor=True)
    panel.set_xlabel("rate of the link, Mbit/s")
    panel.set_ylabel("latency, ms")


def draw_ratios(figure: Figure, report: Report) -> None:
    """A line for each cell, those where collabd wins most on top. Left of 1.0 collabd is faster."""
    first = RATIOS[next(iter(RATIO_MARKS))]
    cells = sorted(report.cells, key=first)
    axes = figure.subplots()
    axes.axvline(1.0, color=style.BLACK, linewidth=1.2, zorder=1)
    for label, mark in RATIO_MARKS.items():
        found = [RATIOS[label](cell) for cell in cells]
        mean = f"{label} (mean {geometric_mean(found):.2f})"
        axes.plot(found, range(len(cells)), markersize=7, label=mean, **mark.options)
    style.logarithmic(axes, "x")
    axes.set_yticks(range(len(cells)), [_cell(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_xlabel("ratio of latencies (logarithmic); left of 1 collabd is faster")
    won = sum(first(cell) <= 1.0 for cell in cells)
    figure.suptitle(
        f"collabd beside what a user would write: as fast or faster in {won} of {len(cells)} cells",
        x=0.01,
        ha="left",
        fontweight="bold",
    )
    style.above(axes, f"{report.machine}; {report.date}", columns=1)


def _cell(cell: Cell) -> str:
    return f"{cell.name}  (best: {cell.best_simple})"


def main(arguments: Sequence[str]) -> None:
    """Draw what the bench has written."""
    (written,) = map(Path, arguments)
    plot(msgspec.json.decode(written.read_bytes(), type=Report), written.with_suffix(".png"))


if __name__ == "__main__":
    main(sys.argv[1:])
