"""Columns of fixed widths under their headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from collabd.ctl.top.lines import Align, ScreenLine, Style

GAP = "  "


@dataclass(frozen=True)
class GridColumn:
    """A column with so many letters of room."""

    heading: str
    width: int
    align: Align = "left"


@dataclass(frozen=True)
class Grid:
    """Columns beside one another, after `indent` blanks. `more` ends what does not fit its column."""

    columns: Sequence[GridColumn]
    more: str
    _: KW_ONLY
    indent: int = 0
    gap: str = GAP

    @property
    def width(self) -> int:
        """Of a line."""
        return self.indent + sum(column.width for column in self.columns) + len(self.gap) * (len(self.columns) - 1)

    def headings(self) -> ScreenLine:
        """The line above the rows."""
        return self.row([ScreenLine.of(column.heading, Style.HEADING) for column in self.columns])

    def row(self, cells: Sequence[ScreenLine | str]) -> ScreenLine:
        """A line with a cell for each column."""
        line = ScreenLine.of(" " * self.indent) if self.indent else ScreenLine()
        for index, (column, cell) in enumerate(zip(self.columns, cells, strict=True)):
            content = ScreenLine.of(cell) if isinstance(cell, str) else cell
            line.add(self.gap if index else "").join(content.fitted(column.width, self.more, column.align))
        return line


def figures_column(heading: str, width: int) -> GridColumn:
    """A column of figures: they and their heading end at its right."""
    return GridColumn(heading, width, "right")
