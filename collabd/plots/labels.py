"""Names beside points, placed so that none lies on another or outside its panel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from collabd.plots.style import SMALL, WHITE

# Where a name may stand, in points from its point, the best place first: right, left, above, below, and further away.
_PLACES = tuple(
    (across * far, up * far)
    for far in (1.0, 2.2, 3.6)
    for across, up in ((7, -2.5), (7, 6), (7, -11), (-7, -2.5), (-7, 6), (-7, -11), (0, 9), (0, -14))
)
_GAP = 1.5
# Half the side of what a point covers, in pixels.
_POINT = 4.0


class Named(NamedTuple):
    """A point in the panel's own units, and its name."""

    x: float
    y: float
    name: str
    bold: bool = False


def name_points(axes: Axes, points: Iterable[Named], *, others: Iterable[tuple[float, float]] = ()) -> list[str]:
    """Write the names, those that come first in the best places. Names without room are left out.

    `others`: further points that no name should hide. Returns the names that were written. The panel's limits, and all
    else in the figure, must stand.
    """
    figure = cast("Figure", axes.get_figure(root=True))
    figure.draw_without_rendering()
    points = list(points)
    taken = [_covered(axes, x, y) for x, y in (*((point.x, point.y) for point in points), *others)]
    return [point.name for point in points if _placed(axes, point, taken)]


def _placed(axes: Axes, point: Named, taken: list[Bbox]) -> bool:
    text = axes.annotate(
        point.name,
        (point.x, point.y),
        (0, 0),
        textcoords="offset points",
        fontsize=SMALL,
        fontweight="bold" if point.bold else "normal",
        arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
        bbox={"facecolor": WHITE, "edgecolor": "none", "pad": 0.4},
        annotation_clip=False,
    )
    text.set_in_layout(False)  # the panels stay where they were when the places were found
    for place in _PLACES:
        _move(text, place)
        text.get_window_extent()  # which moves the text to its place
        # Without the line to the point, which may cross what it likes.
        box = Text.get_window_extent(text).padded(_GAP)
        inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return True
    text.remove()
    return False


def _move(text: Annotation, place: tuple[float, float]) -> None:
    across, _ = place
    text.set_position(place)
    text.set_horizontalalignment("left" if across > 0 else "right" if across < 0 else "center")


def _covered(axes: Axes, x: float, y: float) -> Bbox:
    across, up = axes.transData.transform((x, y))
    return Bbox.from_extents(across - _POINT, up - _POINT, across + _POINT, up + _POINT)
