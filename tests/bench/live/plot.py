"""The picture of `make live`: whether predictions hold, how soon plans are right again, and whether caps are kept.

`python -m tests.bench.live.plot build/bench/live.json` draws it again, beside the file.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from collabd.plots import style
from collabd.plots.style import Mark, Stroke
from tests.bench.live.report import Capped, LiveReport, Predicted, Reaction

_CASES = (
    Mark("o", style.BLUE),
    Mark("^", style.ORANGE),
    Mark("s", style.SKY),
    Mark("x", style.RED),
    Mark("D", style.GREEN, hollow=True),
    Mark("v", style.PURPLE),
    Mark("P", style.BLACK),
    Mark("<", "0.6"),
)
THERE, BACK = Mark("o", style.BLUE), Mark("s", style.ORANGE, hollow=True)
CAPS = {"energy": Stroke(style.BLUE, "-", 1.6), "cost": Stroke(style.ORANGE, "--", 1.6)}
# Predictions that are off by no more lie in the shaded band.
BAND = 0.2


def plot(report: LiveReport, path: Path) -> None:
    """Write it, as PNG or SVG by the file's ending."""
    with style.picture(path, (12.0, 8.6)) as figure:
        draw(figure, report)


def draw(figure: Figure, report: LiveReport) -> None:
    """Draw it into an empty figure. The panels are labelled "predicted", "reactions" and "caps"."""
    panels = figure.subplot_mosaic([["predicted", "predicted"], ["reactions", "caps"]], height_ratios=(1.25, 1.0))
    figure.suptitle(
        f"Predictions, reactions and caps on a device with {100 * report.share:.0f} % of a core, {report.date}",
        x=0.01,
        ha="left",
        fontweight="bold",
    )
    _predictions(panels["predicted"], report.predicted)
    _reactions(panels["reactions"], report.reactions, due=report.due)
    _caps(panels["caps"], report.capped)
    style.caption(
        figure,
        "Reactions: of each trial, the request from which on every plan was within a tenth of the best one; 1 is the "
        "first behind the change. Caps: those that some plan keeps, by what a call took of its cap.",
    )


def _predictions(axes: Axes, cases: Sequence[Predicted]) -> None:
    errors: list[float] = []
    for case, mark in zip(cases, _CASES, strict=False):
        predicted, measured = ([getattr(one, name) for one in case.outcomes] for name in ("predicted_ms", "latency_ms"))
        errors += [abs(m - p) / m for p, m in zip(predicted, measured, strict=True)]
        label = f"{case.model}, {case.form}, {case.mbit:g} Mbit/s"
        axes.plot(predicted, measured, markersize=4, label=label, **mark.options)
    ends = [each for case in cases for one in case.outcomes for each in (one.predicted_ms, one.latency_ms)]
    line = np.array([0.9 * min(ends), 1.1 * max(ends)])
    axes.fill_between(line, line / (1 + BAND), line * (1 + BAND), color="0.9", label=f"off by {100 * BAND:.0f} %")
    axes.plot(line, line, color=style.BLACK, linewidth=1, label="as predicted")
    style.logarithmic(axes, "x")
    style.logarithmic(axes, "y")
    axes.set_xlim(*line)
    axes.set_xlabel("predicted latency, ms (logarithmic)")
    axes.set_ylabel("measured latency, ms (logarithmic)")
    axes.set_title(f"{len(errors)} calls: predictions are off by {100 * np.median(errors):.1f} % in the median")
    style.beside(axes, markerscale=1.5)


def _reactions(axes: Axes, reactions: Sequence[Reaction], *, due: int) -> None:
    for shift, name, mark in ((-0.15, "there", THERE), (0.15, "back", BACK)):
        at = [(first, place + shift) for place, case in enumerate(reactions) for first in getattr(case, name)]
        label = {"there": "after the change", "back": "after the way back"}[name]
        axes.plot(*zip(*at, strict=True), markersize=6, label=label, **mark.options)
        for (first, height), count in Counter(at).items():
            axes.annotate(f"{count}x", (first, height), (6, 0), textcoords="offset points", va="center", fontsize=7)
    axes.axvline(due + 0.5, label=f"due by the {due}rd", **style.CAP.options)
    axes.set_yticks(range(len(reactions)), [case.name.strip().replace(", ", "\n", 1) for case in reactions])
    axes.set_ylim(len(reactions) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("request from which on plans are right")
    trials = [first for case in reactions for first in (*case.there, *case.back)]
    on_time = sum(first <= due for first in trials)
    style.above(axes, f"Right again in time in {on_time} of {len(trials)} trials", columns=3)


def _caps(axes: Axes, capped: Sequence[Capped]) -> None:
    over = 0
    for kind, stroke in CAPS.items():
        shares = sorted(one.measured / one.cap for one in capped if one.kind == kind and one.cap > 0)
        if shares:
            over += sum(share > 1 for share in shares)
            axes.plot(shares, np.linspace(0, 100, len(shares)), label=f"{kind} ({len(shares)} calls)", **stroke.options)
    axes.axvline(1.0, label="the cap", **style.CAP.options)
    axes.set_xlabel("measured, as a part of the cap")
    axes.set_ylabel("calls that took at most that, %")
    style.above(axes, f"Caps were exceeded by {over} of {len(capped)} calls", columns=3)


def main(arguments: Sequence[str]) -> None:
    """Draw what the bench has written."""
    (written,) = map(Path, arguments)
    plot(msgspec.json.decode(written.read_bytes(), type=LiveReport), written.with_suffix(".png"))


if __name__ == "__main__":
    main(sys.argv[1:])
