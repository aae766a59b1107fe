"""When plans changed: what a tall terminal has room for."""

from __future__ import annotations

from collabd.ctl import figures
from collabd.ctl.top.glyphs import Canvas
from collabd.ctl.top.lines import ScreenLine, Style
from collabd.ctl.top.recent import Recent
from collabd.ctl.top.streams import planned_words, stream_name

_AGO = 12


def change_lines(recent: Recent, canvas: Canvas, *, now: float, most: int) -> list[ScreenLine]:
    """The newest first; nothing without room for the heading and two of them."""
    if most < 3 or not recent.changes:
        return []
    lines = [ScreenLine.of("changes of plans", Style.HEADING)]
    for change in list(recent.changes)[: most - 1]:
        ago = f"{figures.duration(now - change.at)} ago"
        line = ScreenLine.of(f"{ago:>{_AGO}}  ", Style.FAINT).add(stream_name(change.after), Style.STRONG)
        line.add(f"  {planned_words(change.after)}; it was {planned_words(change.before)}")
        lines.append(line.cut(canvas.width, canvas.glyphs.more))
    return lines
