"""The companions and the links to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collab_sdk.vocabulary import BreakerState, CompanionState
from collabd.ctl import figures
from collabd.ctl.top.glyphs import Canvas, sparkline
from collabd.ctl.top.grid import GAP, Grid, GridColumn, figures_column
from collabd.ctl.top.lines import ScreenLine, Style
from collabd.ctl.top.recent import Recent

if TYPE_CHECKING:
    from collab_sdk.reports import CloudReport, StatusReport

_STYLES: dict[str, Style] = {CompanionState.UP: Style.GOOD, CompanionState.DOWN: Style.BAD}
_MOST_NAME = 20
_FIGURE = 5
_LOAD = len("100 %")
_LINK = (("up", "up_mbps"), ("down", "down_mbps"), ("rtt", "rtt_ms"))


def companion_lines(report: StatusReport, recent: Recent, canvas: Canvas) -> list[ScreenLine]:
    """A row for each companion; below it what it last failed at, unless a health condition says so."""
    if not report["clouds"]:
        return [ScreenLine.of("No companion is configured: all calls run on this device.", Style.FAINT)]
    grid, small = _grid(report["clouds"], canvas)
    lines = [grid.headings()]
    explained = {condition["about"] for condition in report["health"]}
    for cloud in report["clouds"]:
        lines.append(grid.row(_cells(cloud, recent, small)))
        if cloud["problem"] and cloud["name"] not in explained:
            lines.append(ScreenLine.of(f"{GAP}{cloud['problem']}", Style.WARNING).cut(canvas.width, canvas.glyphs.more))
    return lines


def _grid(clouds: list[CloudReport], canvas: Canvas) -> tuple[Grid, Canvas]:
    """The columns, and the room of their sparklines."""
    name = max(len("companion"), *(min(len(cloud["name"]), _MOST_NAME) for cloud in clouds))
    state = max(len("state"), *(len(_state(cloud)) for cloud in clouds))
    others = name + state + _LOAD + len("queue ms") + 6 * len(GAP)
    link = max((canvas.width - others) // len(_LINK), _FIGURE)
    columns = (
        GridColumn("companion", name),
        GridColumn("state", state),
        GridColumn("up Mbit/s", link),
        GridColumn("down Mbit/s" if link >= len("down Mbit/s") else "down", link),
        GridColumn("rtt ms", link),
        figures_column("load", _LOAD),
        figures_column("queue ms", len("queue ms")),
    )
    return Grid(columns, canvas.glyphs.more), Canvas(link - _FIGURE - 1, canvas.glyphs)


def _cells(cloud: CloudReport, recent: Recent, canvas: Canvas) -> list[ScreenLine | str]:
    # Of a companion that is away, this is what was known last.
    style = Style.FAINT if cloud["state"] == CompanionState.DOWN else Style.PLAIN
    link = [
        ScreenLine.of(f"{figures.number(cloud[key]):>{_FIGURE}} ", style).add(  # type: ignore[literal-required]
            sparkline(recent.series(name, cloud["name"]), canvas), Style.TAIL
        )
        for name, key in _LINK
    ]
    state = ScreenLine.of(_state(cloud), _STYLES.get(cloud["state"], Style.WARNING))
    rest = [ScreenLine.of(figures.load(cloud["load"]), style), ScreenLine.of(figures.number(cloud["queue_ms"]), style)]
    return [cloud["name"], state, *link, *rest]


def _state(cloud: CloudReport) -> str:
    """With the breaker, unless calls simply go there."""
    breaker = "" if cloud["breaker"] == BreakerState.CLOSED else f", {cloud['breaker']}"
    return cloud["state"] + breaker
