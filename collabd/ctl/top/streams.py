"""The calls of each model and stream: where the network was cut, what was predicted, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collab_sdk.vocabulary import PlanKind, Precision
from collabd.ctl import figures
from collabd.ctl.top.glyphs import Canvas, network_bar, sparkline
from collabd.ctl.top.grid import GAP, Grid, GridColumn, figures_column
from collabd.ctl.top.lines import ScreenLine, Style
from collabd.ctl.top.recent import Recent, stream_key

if TYPE_CHECKING:
    from collab_sdk.reports import StreamReport

_WIDE = 110
_MOST_NAME = 24
_LEAST_NAME = 12
_INDENT = 2
_SPARKLINE = 16
_IMAGE = "image"
# The plan took so many times what was predicted: worth a look.
_SURPRISE = 1.5


class StreamTable:
    """Two lines for each stream: what runs where and how long it takes; and below, what it costs."""

    def __init__(self, streams: list[StreamReport], canvas: Canvas) -> None:
        self._glyphs = canvas.glyphs
        # Those of one model stand together, and no row moves while calls come.
        self._streams = sorted(streams, key=stream_key)
        self._is_wide = canvas.width >= _WIDE
        name = max([_LEAST_NAME, *(len(stream_name(stream)) for stream in streams)])
        self._upper = self._upper_grid(min(name, _MOST_NAME), canvas.width)
        self._lower = self._lower_grid(canvas.width)

    def headings(self) -> list[ScreenLine]:
        """The two lines above."""
        return [self._upper.headings(), self._lower.headings()]

    def rows(self, recent: Recent) -> list[list[ScreenLine]]:
        """The lines of each stream."""
        return [[self._upper_row(stream, recent), self._lower_row(stream)] for stream in self._streams]

    def _upper_grid(self, name: int, width: int) -> Grid:
        figures_of = [
            *[GridColumn("ms lately", _SPARKLINE)] * self._is_wide,
            figures_column("ms", 5),
            figures_column("predicted", 9),
            figures_column("calls", 5),
            figures_column("/s", 4),
            *[figures_column("missed", 6), figures_column("failed", 6)] * self._is_wide,
            figures_column("degraded", 8),
        ]
        fixed = name + sum(column.width for column in figures_of) + len(GAP) * (len(figures_of) + 1)
        bar = GridColumn(self._bar_heading(width - fixed), max(width - fixed, 3))
        return Grid((GridColumn("model stream", name), bar, *figures_of), self._glyphs.more)

    def _bar_heading(self, room: int) -> str:
        long = f"network: device{self._glyphs.cut}companion"
        return long if len(long) <= room else "network"

    def _upper_row(self, stream: StreamReport, recent: Recent) -> ScreenLine:
        glyphs = self._glyphs
        bar = Canvas(self._upper.columns[1].width, glyphs)
        wide = [ScreenLine.of(sparkline(recent.took(stream), Canvas(_SPARKLINE, glyphs)), Style.TAIL)]
        return self._upper.row(
            [
                ScreenLine.of(stream_name(stream), Style.STRONG),
                network_bar(stream["kind"], stream["placement"], bar),
                *wide * self._is_wide,
                ScreenLine.of(figures.number(stream["measured_ms"]), _surprise(stream)),
                figures.number(stream["predicted_ms"]),
                figures.size(stream["calls"]),
                figures.number(recent.rate(stream_key(stream))),
                *[_count(stream["missed"], Style.WARNING), _count(stream["failed"], Style.BAD)] * self._is_wide,
                _count(stream["degraded"], Style.WARNING),
            ]
        )

    def _lower_grid(self, width: int) -> Grid:
        figures_of = [
            figures_column("fidelity", 8),
            figures_column("pictures", 8),
            figures_column("up B", 5),
            figures_column("down B", 6),
            figures_column("joules", 6),
            figures_column("cost", 8),
        ]
        gap = GAP if self._is_wide else " "
        fixed = _INDENT + sum(column.width for column in figures_of) + len(gap) * len(figures_of)
        plan, kinds = max(width - fixed, 10), 0
        if self._is_wide:
            kinds = plan // 2
            plan -= kinds + len(gap)
        columns = (GridColumn("plan", plan), *[GridColumn("calls by kind", kinds)] * self._is_wide, *figures_of)
        return Grid(columns, self._glyphs.more, indent=_INDENT, gap=gap)

    def _lower_row(self, stream: StreamReport) -> ScreenLine:
        pictures = stream["fidelity_pictures"]
        kinds = ", ".join(f"{kind} {figures.size(count)}" for kind, count in stream["kinds"].items() if count)
        cells = [
            answered_words(stream),
            *[kinds] * self._is_wide,
            figures.UNKNOWN if stream["fidelity"] is None else f"{100 * stream['fidelity']:.1f} %",
            figures.UNKNOWN if pictures is None else figures.size(round(pictures)),
            figures.size(stream["bytes_up"]),
            figures.size(stream["bytes_down"]),
            figures.number(stream["energy_mj"] / 1e3),
            figures.price(stream["cost"]),
        ]
        return self._lower.row([ScreenLine.of(cell, Style.FAINT) for cell in cells])


def stream_name(stream: StreamReport) -> str:
    """The model, and the stream if the calls belong to one."""
    return f"{stream['model']} {stream['stream']}".rstrip()


def answered_words(stream: StreamReport) -> str:
    """How the last call was answered: "split as q8 to desktop at stage2.0". What matters most comes first."""
    match stream["kind"]:
        case None:
            return "no answer yet"
        case PlanKind.LITTLE:
            return "little: that network was sure"
        case PlanKind.INHERITED:
            return "inherited from the picture before"
        case PlanKind.LOCAL if stream["cloud"] is not None:
            return f"local, planned {planned_words(stream)}"
    return planned_words(stream)


def planned_words(stream: StreamReport) -> str:
    """What the plan of the last call was."""
    computed = "" if stream["precision"] == Precision.FP32 else f" in {stream['precision']}"
    if stream["cloud"] is None:
        return f"local{computed}"
    away = f"as {stream['codec']} to {stream['cloud']}{computed}"
    if stream["cut"] == _IMAGE:
        return f"image {away}"
    return f"split {away} at {figures.cut(stream['cut'], len(stream['placement']))}"


def _surprise(stream: StreamReport) -> Style:
    predicted, measured = stream["predicted_ms"], stream["measured_ms"]
    return Style.WARNING if predicted and measured and measured > _SURPRISE * predicted else Style.STRONG


def _count(count: int, style: Style) -> ScreenLine:
    return ScreenLine.of(figures.size(count), style if count else Style.PLAIN)
