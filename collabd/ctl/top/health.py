"""What somebody should know, with what to do; and why the last call ran as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collab_sdk.vocabulary import Severity
from collabd.ctl import figures
from collabd.ctl.top.glyphs import Canvas
from collabd.ctl.top.lines import ScreenLine, Style, wrapped
from collabd.ctl.verdicts import REASONS

if TYPE_CHECKING:
    from collab_sdk.reports import ConditionReport, LastReport

_STYLES: dict[str, Style] = {Severity.NOTICE: Style.PLAIN, Severity.WARNING: Style.WARNING, Severity.ERROR: Style.BAD}
_INDENT = "  "


def health_lines(conditions: list[ConditionReport], canvas: Canvas, most: int) -> list[ScreenLine]:
    """The worst conditions, `most` of them; those that another one explains are left out."""
    more = canvas.glyphs.more
    shown = [condition for condition in conditions if condition["behind"] is None]
    lines: list[ScreenLine] = []
    for condition in shown[:most]:
        style = _STYLES.get(condition["severity"], Style.WARNING)
        since = figures.duration(condition["since_s"])
        said = f"{condition['severity']}: {condition['what']} ({condition['code']}, {since})"
        lines += wrapped(said, canvas.width, most=2, more=more, style=style)
        todo = f"{_INDENT}{canvas.glyphs.arrow} {condition['do']}"
        lines += wrapped(todo, canvas.width, most=2, more=more)
    if len(shown) > most:
        lines.append(ScreenLine.of(f"and {len(shown) - most} more: collabctl status", Style.FAINT))
    return lines


def last_lines(last: LastReport | None, canvas: Canvas) -> list[ScreenLine]:
    """The plan of the last call that was answered, and its reason."""
    if last is None:
        return []
    plan = figures.plan(last)
    took = f"{figures.number(last['measured_ms'])} ms, predicted {figures.number(last['predicted_ms'])}"
    line = ScreenLine.of("last call", Style.HEADING).add(f" {last['model']} {took}")
    if not last["budget_met"]:
        line.add(", over budget", Style.WARNING)
    line.add(f": {plan}")
    return [each.cut(canvas.width, canvas.glyphs.more) for each in (line, _why(last))]


def _why(last: LastReport) -> ScreenLine:
    if last["degraded"]:
        return ScreenLine.of(f"{_INDENT}degraded: {last['why']}", Style.WARNING)
    meaning = {str(reason): meaning for reason, meaning in REASONS.items()}.get(last["reason"], "")
    return ScreenLine.of(f"{_INDENT}{last['why'] or meaning}", Style.FAINT)
