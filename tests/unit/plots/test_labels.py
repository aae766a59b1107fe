"""Names beside points never lie on one another."""

from __future__ import annotations

import random

from matplotlib.figure import Figure

from collabd.plots.labels import Named, name_points
from tests.unit.plots.conftest import overlaps, texts


def test_names_of_a_crowd_do_not_overlap(figure: Figure) -> None:
    luck = random.Random(5)
    axes = figure.subplots()
    points = [Named(luck.gauss(0, 0.05), luck.gauss(0, 0.05), f"a plan of number {i}") for i in range(25)]
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    written = name_points(axes, points, others=[(0.0, 0.0)])
    assert 5 < len(written) < 25
    assert written[0] == points[0].name
    assert overlaps(figure) == []
    assert sum(name.startswith("a plan") for name in texts(figure)) == len(written)


def test_a_name_stays_inside_its_panel(figure: Figure) -> None:
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    assert name_points(axes, [Named(1.0, 1.0, "a name at the corner")]) == ["a name at the corner"]
    (box,) = (box for name, box in texts(figure).items() if name.startswith("a name"))
    assert axes.bbox.x0 <= box.x0
    assert box.x1 <= axes.bbox.x1
    assert box.y1 <= axes.bbox.y1
