"""Memory over requests, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from collabd.plots import style
from collabd.plots.style import Mark, Stroke
from tests.soak.samples import SIDES, Sample
from tests.soak.verdict import END, WINDOWS

_LINES = {
    "rss_mb": ("resident", Stroke(style.BLACK), Mark("o", style.BLACK)),
    "uss_mb": ("of its own (USS)", Stroke(style.BLUE, "--"), Mark("^", style.BLUE)),
    "rest_mb": ("resident less sessions", Stroke(style.ORANGE, "-."), Mark("s", style.ORANGE)),
}


def plot(samples: Sequence[Sample], requests: int, path: Path) -> None:
    """Write it, as PNG or SVG by the file's ending."""
    with style.picture(path, (10.0, 7.0)) as figure:
        draw(figure, samples, requests)


def draw(figure: Figure, samples: Sequence[Sample], requests: int) -> None:
    """Draw it into an empty figure: a panel a daemon; the windows whose tours (points) are compared are shaded."""
    panels = figure.subplots(2, 1, sharex=True)
    figure.suptitle(f"Memory over {requests} requests", x=0.01, ha="left", fontweight="bold")
    for side, panel in zip(SIDES, panels, strict=True):
        own = [sample for sample in samples if sample.side == side]
        toured = [sample for sample in own if sample.toured]
        for measure, (label, stroke, mark) in _LINES.items():
            panel.plot(*_at(own, measure), label=label, **stroke.options)
            panel.plot(*_at(toured, measure), markersize=4, **mark.options)
        for first, last in (WINDOWS[side], END):
            panel.axvspan(first * requests, last * requests, alpha=0.15, color="grey")
        panel.set_title({"device": "collabd", "cloud": "collab-cloudd, restarted in the first half"}[side])
        panel.set_ylabel("memory, MB")
        panel.set_ylim(bottom=0)
        panel.legend(loc="lower right")
    panels[-1].set_xlabel("requests; the tours in the shaded windows are compared")


def _at(samples: Sequence[Sample], measure: str) -> tuple[list[int], list[float]]:
    return [sample.requests for sample in samples], [sample.figures[measure] for sample in samples]
