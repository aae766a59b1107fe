"""Recorded reports of real daemons, figures to draw into, and what lies on what in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from collabd.plots import style
from tests.screenshots.record import REPORTS


def recorded(name: str) -> Any:
    """A report that a daemon has given."""
    return json.loads((REPORTS / f"{name}.json").read_text())


@pytest.fixture
def figure() -> Iterator[Figure]:
    """An empty one, in the style of all pictures."""
    with mpl.rc_context(style.SETTINGS):
        yield Figure(figsize=(12.0, 8.0), layout="constrained")


def texts(figure: Figure) -> dict[str, Bbox]:
    """Where each text stands that is seen; numbers at an axis that lie outside its limits are not."""
    figure.draw_without_rendering()
    unseen = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                unseen |= {tick.label1, tick.label2}
    found = {}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in unseen:
            box = Text.get_window_extent(text)
            found[f"{text.get_text()} at {box.x0:.0f},{box.y0:.0f}"] = box
    return found


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of which one covers a part of the other."""
    inner = {name: Bbox.from_extents(*box.p0 + 1, *box.p1 - 1) for name, box in texts(figure).items()}
    return [(a, b) for (a, first), (b, second) in combinations(inner.items(), 2) if first.overlaps(second)]


def labels(figure: Figure) -> list[str]:
    """All entries of all legends."""
    figure.draw_without_rendering()
    legends = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]
