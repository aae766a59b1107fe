"""Memory over requests, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from tests.soak.samples import SIDES, Sample
from tests.soak.verdict import END, WINDOWS


def plot(samples: Sequence[Sample], requests: int, path: Path) -> None:
    """A panel for each daemon; the windows whose tours (dots) are compared are shaded."""
    mpl.use("Agg")
    figure, panels = plt.subplots(2, 1, sharex=True, figsize=(10, 7), layout="constrained")
    for side, panel in zip(SIDES, panels, strict=True):
        own = [sample for sample in samples if sample.side == side]
        places = [sample.requests for sample in own]
        for measure, label in (
            ("rss_mb", "resident"),
            ("uss_mb", "of its own (USS)"),
            ("rest_mb", "resident less sessions"),
        ):
            (line,) = panel.plot(places, [sample.figures[measure] for sample in own], label=label)
            after_tours = [(sample.requests, sample.figures[measure]) for sample in own if sample.toured]
            panel.scatter(*zip(*after_tours, strict=True), s=12, color=line.get_color())
        for first, last in (WINDOWS[side], END):
            panel.axvspan(first * requests, last * requests, alpha=0.15, color="grey")
        panel.set_title({"device": "collabd", "cloud": "collab-cloudd, restarted in the first half"}[side])
        panel.set_ylabel("MB")
        panel.set_ylim(bottom=0)
        panel.legend(loc="lower right")
    panels[-1].set_xlabel("requests")
    figure.savefig(path, dpi=120)
    plt.close(figure)
