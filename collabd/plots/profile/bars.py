"""The panel of latency: a bar for each cut, stacked of what a call spends its time on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from collabd.plots import style
from collabd.plots.kinds import how, short
from collabd.plots.style import FAINT, Fill, Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from collabd.plots.best import BestAtCut

# What is told apart, the phases of a prediction that belong to it, and how it is filled: the device plain, the link
# and the companion's queue hatched. Neighbours differ in grey too.
PARTS: Mapping[str, tuple[tuple[str, ...], Fill]] = {
    "device: image, daemon": (("overhead", "lane", "prep", "answer"), Fill("#cccccc")),
    "device: little network": (("little",), Fill(style.GREEN, "....")),
    "device: head": (("head",), Fill(style.BLUE)),
    "coding on both sides": (("encode", "decode"), Fill(style.SKY, "----")),
    "link: round trip, reply": (("round_trip", "down"), Fill(style.WHITE, "////")),
    "link: upload": (("up",), Fill(style.ORANGE, "\\\\\\\\")),
    "companion: queue": (("queue",), Fill(style.WHITE, "xxxx")),
    "companion: tail": (("tail",), Fill(style.YELLOW)),
}
# What is to be expected of a call, where it is less than its way takes.
EXPECTED = Mark("|", style.BLACK)
# The axis ends at so many times the fastest bar, unless one of interest is longer. Longer bars are cut off.
_ROOM, _BEHIND = 4.0, 1.35
# Of the panel's width.
_A_LETTER = 0.011


def draw(axes: Axes, rows: Sequence[BestAtCut], *, cap_ms: float | None) -> None:
    """One bar a row, the first row on top. `cap_ms`: the cap on latency, a line."""
    most_ms = _most(rows, cap_ms)
    left = [0.0] * len(rows)
    for name, (phases, fill) in PARTS.items():
        widths = [sum(row.best["phases_ms"][phase] for phase in phases) for row in rows]
        if any(width > 0.002 * most_ms for width in widths):
            drawn = axes.barh(range(len(rows)), widths, 0.72, left, label=name, **fill.options)
            for bar, row in zip(drawn, rows, strict=True):
                bar.set_alpha(None if row.fits else FAINT)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    expected = [(row.best["predicted_ms"], place) for place, row in enumerate(rows) if row.shortened]
    if expected:
        axes.plot(
            *zip(*expected, strict=True),
            label="expected",
            markersize=15,
            zorder=2.5,
            **EXPECTED.options | {"markeredgewidth": 2.2},
        )
    if cap_ms is not None:
        axes.axvline(cap_ms, label=f"cap {style.number(cap_ms)} ms", zorder=2, **style.CAP.options)
    for place, row in enumerate(rows):
        _end(axes, place, row, most_ms=most_ms)
    axes.set_yticks(range(len(rows)), [_label(row, rows) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.taken else "normal")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, most_ms)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("predicted latency, ms")
    style.above(axes, _title(rows), columns=3)


def _most(rows: Sequence[BestAtCut], cap_ms: float | None) -> float:
    """Where the axis ends."""
    totals = [row.way_ms for row in rows]
    of_interest = [row.way_ms for row in rows if row.taken or row.cut["cloud"] is None]
    longest = max([*of_interest, min(cap_ms or 0.0, max(totals)), min(max(totals), _ROOM * min(totals)), 1e-3])
    return _BEHIND * longest


def _end(axes: Axes, place: int, row: BestAtCut, *, most_ms: float) -> None:
    """Write how the cut is used, and the sum, behind the bar; where there is no room, at the end of the panel."""
    predicted = row.best["predicted_ms"]
    text = f"{how(row.cut, row.codec)} {style.number(row.way_ms)} ms".lstrip()
    if row.taken:
        expected = f", expected {style.number(predicted)} ms" if row.shortened and predicted else ""
        text = f"◀ {row.best['verdict']}: {text}{expected}"
    elif not row.fits:
        text += f", {row.best['verdict']}"
    within = row.way_ms / most_ms + _A_LETTER * len(text) > 1
    if row.way_ms > most_ms:
        text += " ▶"
    written = axes.annotate(
        text,
        (most_ms if within else row.way_ms, place),
        (-3 if within else 4, 0),
        textcoords="offset points",
        va="center",
        ha="right" if within else "left",
        fontsize=style.SMALL,
        fontweight="bold" if row.taken else "normal",
        color=style.BLACK if row.fits else style.QUIET,
        bbox={"facecolor": style.WHITE, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )
    written.set_in_layout(False)


def _label(row: BestAtCut, rows: Sequence[BestAtCut]) -> str:
    name = {"output": "output (all here)", "image": "image (all there)"}.get(row.cut["cut"], short(row.cut["cut"]))
    several = len({each.cut["cloud"] for each in rows} - {None}) > 1
    return f"{name} @ {row.cut['cloud']}" if several and row.cut["cloud"] is not None else name


def _title(rows: Sequence[BestAtCut]) -> str:
    taken = [row for row in rows if row.taken]
    now = f": {short(taken[0].cut['cut'])} is {taken[0].best['verdict']} now" if taken else ""
    return f"Where a call's time goes, by cut{now}"
