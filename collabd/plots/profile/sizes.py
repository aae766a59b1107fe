"""The panel of bytes: what each codec would send at each cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import LogLocator, NullFormatter

from collabd.plots import style
from collabd.plots.style import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from collab_sdk.reports import CutReport
    from collabd.plots.best import BestAtCut

CODECS = {
    "u8": Mark("^", style.RED),
    "jpeg": Mark("v", style.ORANGE),
    "f32": Mark("o", style.BLACK, hollow=True),
    "f16": Mark("s", style.BLUE, hollow=True),
    "q8": Mark("D", style.BLUE),
    "q4": Mark("<", style.SKY),
}
_OTHER = Mark("x", style.LINE)


def draw(axes: Axes, cuts: Sequence[CutReport], rows: Sequence[BestAtCut]) -> None:
    """At the height of each of `rows` the codecs of its cut; the one of the row is ringed."""
    at: dict[str, tuple[list[float], list[int]]] = {}
    for place, row in enumerate(rows):
        found = {
            (codec, figures["bytes"])
            for cut in cuts
            if (cut["cut"], cut["cloud"]) == (row.cut["cut"], row.cut["cloud"])
            for codec, figures in cut["codecs"].items()
        }
        for codec, octets in sorted(found, key=str):
            if octets is not None:
                xs, ys = at.setdefault(_family(codec), ([], []))
                xs.append(octets)
                ys.append(place)
    for family in [*CODECS, *sorted(at.keys() - CODECS.keys())]:
        if family in at:
            axes.plot(*at[family], label=family, markersize=4.5, **CODECS.get(family, _OTHER).options)
    ringed = [(row.best["bytes"], place) for place, row in enumerate(rows) if row.best["bytes"] is not None]
    if ringed:
        ring: dict[str, Any] = {
            "marker": "o",
            "markersize": 10,
            "markerfacecolor": "none",
            "markeredgecolor": style.BLACK,
        }
        axes.plot(*zip(*ringed, strict=True), linestyle="none", label="in the bar", **ring)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(_size)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1)
    axes.set_yticks(range(len(rows)), [])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("bytes to send (logarithmic)")
    style.above(axes, "What would be sent, by codec", columns=3)


def _family(codec: str) -> str:
    return "jpeg" if codec.startswith("jpeg") else codec


def _size(octets: float, _: float) -> str:
    return f"{octets / 1e6:g} MB" if octets >= 1e6 else f"{octets / 1e3:g} kB" if octets >= 1e3 else f"{octets:g} B"
