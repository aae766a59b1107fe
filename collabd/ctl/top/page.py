"""The whole screen, from the reports that came: which parts are shown, and which lines are left for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collabd.ctl import figures
from collabd.ctl.top.changes import change_lines
from collabd.ctl.top.companions import companion_lines
from collabd.ctl.top.glyphs import Canvas, Glyphs
from collabd.ctl.top.health import health_lines, last_lines
from collabd.ctl.top.legend import legend_lines
from collabd.ctl.top.lines import ScreenLine, Style, spread, wrapped
from collabd.ctl.top.machine import daemon_line, details_line, machine_line
from collabd.ctl.top.recent import Recent
from collabd.ctl.top.streams import StreamTable

if TYPE_CHECKING:
    from collab_sdk.errors import CollabError
    from collab_sdk.reports import StatusReport

# Rows from which on there is room for more than the essential.
_TALL = 30
_NOTHING_YET = "No calls yet. Try: collabctl infer PICTURE"


class Page:
    """What was heard of the daemon, and how far down somebody looks. Times are seconds on one clock."""

    def __init__(self, glyphs: Glyphs) -> None:
        self.glyphs = glyphs
        self.explains = False
        self._report: StatusReport | None = None
        self._came_at = 0.0
        self._problem: CollabError | None = None
        self._silent_since = 0.0
        self._recent = Recent()
        self._top = 0
        self._most_top = 0
        self._step = 1

    def heard(self, report: StatusReport, at: float) -> None:
        """The daemon has answered."""
        self._report, self._came_at, self._problem = report, at, None
        self._recent.add(report, at)

    def failed(self, problem: CollabError, at: float) -> None:
        """The daemon has not answered."""
        if self._problem is None:
            self._silent_since = at
        self._problem = problem

    def scroll(self, pages: float = 0.0, streams: int = 0) -> None:
        """Look so far down the streams, or up."""
        self._top = min(max(self._top + streams + round(pages * self._step), 0), self._most_top)

    def lines(self, width: int, height: int, now: float) -> list[ScreenLine]:
        """As many lines as the terminal is high, none of them wider than it."""
        banner = self._banner(width, now)
        if self.explains:
            body = legend_lines(self.glyphs)
        elif self._report is None:
            body = [] if banner else [ScreenLine.of("asking collabd ...", Style.FAINT)]
        else:
            body = self._body(self._report, Canvas(width, self.glyphs), height - len(banner) - 1, now=now)
        shown = [*banner, *body][: height - 1]
        blank = [ScreenLine()] * (height - 1 - len(shown))
        return [line.cut(width, self.glyphs.more) for line in [*shown, *blank, self._keys(width)]]

    def _banner(self, width: int, now: float) -> list[ScreenLine]:
        if self._problem is None:
            return []
        silent = figures.duration(now - self._silent_since)
        said = f"No answer for {silent}, still trying: {self._problem}"
        lines = wrapped(said, width, most=3, more=self.glyphs.more, style=Style.BANNER)
        if self._report is not None:
            age = figures.duration(now - self._came_at)
            lines.append(ScreenLine.of(f"What stands below is {age} old.", Style.BANNER))
        return lines

    def _body(self, report: StatusReport, canvas: Canvas, height: int, *, now: float) -> list[ScreenLine]:
        recent = self._recent
        above = [daemon_line(report, recent, canvas), machine_line(report["device"], recent, canvas)]
        above += [details_line(report["device"])] * (height >= _TALL - 1)
        above += [ScreenLine(), *companion_lines(report, recent, canvas)[: max(height // 3, 2)], ScreenLine()]
        below = health_lines(report["health"], canvas, max(height // 16, 1))
        below += _measuring(report, canvas)
        below += last_lines(report["last"], canvas)
        below = [ScreenLine(), *below] if below else []
        streams = self._streams(report, canvas, height - len(above) - len(below))
        left = height - len(above) - len(streams) - len(below)
        changes = change_lines(recent, canvas, now=now, most=left - 1)
        changes = [ScreenLine(), *changes] if changes else []
        blank = [ScreenLine()] * (left - len(changes))
        return [*above, *streams, *changes, *blank, *below]

    def _streams(self, report: StatusReport, canvas: Canvas, height: int) -> list[ScreenLine]:
        if not report["streams"]:
            return [ScreenLine.of(_NOTHING_YET, Style.FAINT)]
        table = StreamTable(report["streams"], canvas)
        headings, rows = table.headings(), table.rows(self._recent)
        self._step = max((height - len(headings)) // len(rows[0]), 1)
        self._most_top = max(len(rows) - self._step, 0)
        self._top = min(self._top, self._most_top)
        shown = rows[self._top : self._top + self._step]
        return headings + [line for row in shown for line in row]

    def _keys(self, width: int) -> ScreenLine:
        """The last line."""
        keys = (("q", "quit"), ("?", "back" if self.explains else "what is what"), (self.glyphs.keys, "scroll"))
        line = ScreenLine()
        for key, meaning in keys[: 3 if self._most_top and not self.explains else 2]:
            line.add(f" {key} ", Style.BANNER).add(f" {meaning}  ")
        count = 0 if self._report is None else len(self._report["streams"])
        last = min(self._top + self._step, count)
        where = f"streams {self._top + 1} to {last} of {count}" if self._most_top and not self.explains else ""
        return spread(line, ScreenLine.of(where, Style.STRONG), width, more=self.glyphs.more) if where else line


def _measuring(report: StatusReport, canvas: Canvas) -> list[ScreenLine]:
    """Why calls may not be split yet."""
    names = ", ".join(model["name"] for model in report["models"] if not model["profiled"])
    said = f"Still measuring {names}: not split until then."
    return wrapped(said, canvas.width, most=1, more=canvas.glyphs.more) if names else []
