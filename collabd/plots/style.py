"""How every picture looks: sizes, greys, fills and markers that also differ where there is no colour.

The colours are those of Okabe and Ito, which people with any kind of colour blindness can tell apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

BLACK, WHITE = "#000000", "#ffffff"
BLUE, SKY, GREEN, YELLOW = "#0072b2", "#56b4e9", "#009e73", "#f0e442"
ORANGE, RED, PURPLE = "#e69f00", "#d55e00", "#cc79a7"
# Of lines that explain, of text beside the figures, and of what lies behind everything.
LINE, QUIET, GRID = "#555555", "#555555", "#dddddd"
# How much of its colour is left to what was rejected.
FAINT = 0.3
SMALL = 7.5
_DPI = 110
# Percents that are written, and where the axis would end if it had no end.
_NINES, _END = (80, 90, 95, 98, 99, 99.5, 99.9, 100), 100.1
# Points between two rows of a legend.
_LEGEND_ROW = 13.0
# Of the small letters.
_LETTERS_PER_INCH = 17
SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib, so pictures look the same everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "collabd",  # the same picture has the same file
}
# What matplotlib would write of the time and of itself.
_NO_METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


class Fill(NamedTuple):
    """How an area is filled."""

    colour: str
    hatch: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """For matplotlib's bars."""
        # A hatch takes the colour of the edge.
        edge = WHITE if luminance(self.colour) < 0.3 else BLACK
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": edge, "linewidth": 0.4}


class Mark(NamedTuple):
    """How a point looks. `hollow`: only its edge is drawn."""

    marker: str
    colour: str
    hollow: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """For `Axes.plot`, which draws no line between such points."""
        face = "none" if self.hollow or self.marker in "x+|_" else self.colour
        return {
            "marker": self.marker,
            "linestyle": "none",
            "color": self.colour,
            "markerfacecolor": face,
            "markeredgecolor": self.colour if face == "none" else WHITE,
            "markeredgewidth": 1.1 if face == "none" else 0.4,
        }


class Stroke(NamedTuple):
    """How a line looks."""

    colour: str
    style: str | tuple[float, Sequence[float]] = "-"
    width: float = 1.2

    @property
    def options(self) -> dict[str, Any]:
        """For `Axes.plot`."""
        return {"color": self.colour, "linestyle": self.style, "linewidth": self.width}


CAP = Stroke(RED, (0, (6, 2)), 1.3)


@contextmanager
def picture(path: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of so many inches, which is written to `path` at the end, as PNG or SVG by the file's ending."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, dpi=_DPI, metadata=_NO_METADATA[path.suffix.lower()])


def luminance(colour: str) -> float:
    """The relative luminance of a colour, 0 (black) to 1: what is left of it in grey (ITU-R BT.709, linear light)."""
    return sum(weight * _linear(part) for weight, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True))


def _linear(part: float) -> float:
    return float(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers where one reads them."""
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter(NullFormatter())


def percents(axes: Axes, least: float) -> None:
    """Make the upright axis one of percents from `least` to 100, on which 99 and 99.9 are as far apart as 90 and 99."""
    axes.set_yscale("function", functions=(_stretched, _compressed))
    axes.set_yticks(_NINES, [f"{nine:g}" for nine in _NINES])
    axes.set_ylim(least, 100.03)


def _stretched(percent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return -np.log10(np.maximum(_END - percent, 1e-6))


def _compressed(place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _END - np.power(10.0, -place)


def number(value: float) -> str:
    """Three digits, never with an exponent: 0.042, 12.3, 1630."""
    return f"{float(f'{value:.3g}'):,.10g}".replace(",", "")


def caption(figure: Figure, text: str) -> None:
    """Below everything, in small letters: what was left out, and how to read the picture."""
    letters = int(figure.get_figwidth() * _LETTERS_PER_INCH)
    figure.supxlabel(textwrap.fill(text, letters), fontsize=SMALL, color=QUIET, x=0.01, ha="left")


def above(axes: Axes, title: str, *, columns: int) -> None:
    """The title of a panel, and between it and the panel the legend."""
    # Areas first, then points and lines.
    named = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda each: isinstance(each[0], Line2D))
    rows = -(-len(named) // columns)
    axes.set_title(title, pad=rows * _LEGEND_ROW + 7)
    if not named:
        return
    legend = axes.legend(
        *zip(*named, strict=True),
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        borderpad=0.2,
        fontsize=8,
        columnspacing=1.2,
        handlelength=1.8,
    )
    legend.set_in_layout(False)  # it may be wider than the panel; the title has made room for its height


def beside(axes: Axes, **options: Any) -> None:
    """The legend, to the right of the panel."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), **options)
