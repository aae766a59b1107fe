"""Tables for terminals of any width. A column that does not fit is left out or gets its own line, never broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_GAP = "  "
_INDENT = "    "
# Characters. Long text stands beside its row if it has this much room there, and wraps between words; else below it.
_LEAST_BESIDE = 30
_SHORT = 15


@dataclass(frozen=True)
class _Layout:
    """The columns on the line of a row: the width of each, by its index. `tall`: headings take several lines."""

    widths: Mapping[int, int]
    tall: bool = False

    @property
    def width(self) -> int:
        """The width of a line."""
        return sum(self.widths.values()) + len(_GAP) * (len(self.widths) - 1)

    def start(self, column: int) -> int:
        """Where a column begins."""
        return sum(width + len(_GAP) for index, width in self.widths.items() if index < column)


class Table:
    """Rows under headings, each named by its first cell.

    A heading that starts with ">" is that of figures. `spare`: the headings of columns that are left out where the
    terminal is too narrow, the first one first. `long_last`: the last column holds text of any length.
    """

    def __init__(self, *headings: str, spare: Sequence[str] = (), long_last: bool = False, least_name: int = 0) -> None:
        self._headings = tuple(heading.removeprefix(">") for heading in headings)
        self._figures = {index for index, heading in enumerate(headings) if heading.startswith(">")}
        self._spare = tuple(heading for heading in spare if heading in self._headings)
        self._long = len(headings) - 1 if long_last else None
        self._least_name = least_name
        self._rows: list[tuple[Text, ...]] = []

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """A cell for each heading."""
        from rich.text import Text

        self._rows.append(tuple(cell if isinstance(cell, Text) else Text(cell, style) for cell in cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The lines."""
        from rich.text import Text

        width = options.max_width
        layout = self._layout(width)
        yield from self._heading_lines(layout)
        for cells in self._rows:
            yield from self._row_lines(layout, cells, console=console, width=width)
        if left_out := [heading for heading in self._spare if self._headings.index(heading) not in layout.widths]:
            yield Text(f"Not shown for want of room: {', '.join(left_out)} ('| less -S' or --json shows all).", "dim")

    def _layout(self, width: int) -> _Layout:
        """The first layout that fits; else the last one, in which names get the room that other columns leave."""
        for layout in self._layouts(width):
            if layout.width <= width:
                return layout
        least = max(self._heading_width(0, tall=True), self._least_name)
        name = max(least, layout.widths[0] - (layout.width - width))
        return _Layout({**layout.widths, 0: name}, tall=True)

    def _layouts(self, width: int) -> Iterator[_Layout]:
        """The layouts, from everything on one line to the fewest columns. A name over a third of the width is long."""
        columns = list(range(len(self._headings)))
        yield self._laid_out(columns, width, tall=False)
        yield self._laid_out(columns, width // 3, tall=True)
        for column in self._leaving():
            columns.remove(column)
            yield self._laid_out(columns, width // 3, tall=True)

    def _leaving(self) -> list[int]:
        """The columns to take off a row's line, in that order. Long text comes later if it happens to be short here."""
        spare = [self._headings.index(heading) for heading in self._spare]
        if self._long is None:
            return spare
        is_short = all(row[self._long].cell_len <= _SHORT for row in self._rows)
        return [*spare, self._long] if is_short else [self._long, *spare]

    def _laid_out(self, columns: Sequence[int], most_name: int, *, tall: bool) -> _Layout:
        return _Layout({index: self._width(index, most_name, tall=tall) for index in columns}, tall)

    def _width(self, index: int, most_name: int, *, tall: bool) -> int:
        """The width that a column needs for its heading and for the cells that stand in it unbroken."""
        cells = [line.cell_len for row in self._rows for line in row[index].split()]
        if index == 0:
            cells = [self._least_name, *(cell for cell in cells if cell <= most_name)]
        elif index == self._long:
            cells = [min(cell, _LEAST_BESIDE) for cell in cells]
        return max(self._heading_width(index, tall=tall), *cells, 0)

    def _heading_width(self, index: int, *, tall: bool) -> int:
        return max(map(len, self._heading_words(index, tall=tall)))

    def _heading_words(self, index: int, *, tall: bool) -> list[str]:
        return self._headings[index].split() if tall and self._headings[index] else [self._headings[index]]

    def _heading_lines(self, layout: _Layout) -> Iterator[Text]:
        """The headings; no line if all are empty. A tall heading has one word on each line and ends above the rows."""
        from rich.text import Text

        words = {index: self._heading_words(index, tall=layout.tall) for index in layout.widths}
        height = max(map(len, words.values())) if any(self._headings) else 0
        for line in range(-height, 0):
            yield self._line(
                layout,
                {index: Text(each[line], "bold") for index, each in words.items() if len(each) >= -line},
            )

    def _row_lines(self, layout: _Layout, cells: Sequence[Text], *, console: Console, width: int) -> Iterator[Text]:
        """The lines of a row. A name that does not fit stands above the row, long text that does not fit below it."""
        from rich.text import Text

        shown = {index: cells[index] for index in layout.widths}
        if cells[0].cell_len > layout.widths[0]:
            yield from cells[0].wrap(console, width)
            del shown[0]
        beside, long = self._long_lines(layout, cells, console=console, width=width)
        if self._long is not None:
            shown[self._long] = long.pop(0) if beside else Text()
        if any(shown.values()):
            yield self._line(layout, shown)
        indent = " " * layout.start(len(self._headings) - 1) if beside else _INDENT
        for line in long:
            yield Text(indent) + line

    def _long_lines(
        self, layout: _Layout, cells: Sequence[Text], *, console: Console, width: int
    ) -> tuple[bool, list[Text]]:
        """The lines of the long text, and whether they stand beside the row."""
        if self._long is None or not cells[self._long]:
            return False, []
        text, room = cells[self._long], width - layout.start(self._long)
        beside = self._long in layout.widths and _longest_word(text) <= room
        return beside, list(text.wrap(console, room if beside else width - len(_INDENT)))

    def _line(self, layout: _Layout, cells: Mapping[int, Text]) -> Text:
        """The cells in their columns; missing cells stay blank."""
        from rich.text import Text

        padded = []
        for index, width in layout.widths.items():
            cell = cells.get(index, Text()).copy()
            fill = max(0, width - cell.cell_len)
            if index in self._figures:
                cell.pad_left(fill)
            else:
                cell.pad_right(fill)
            padded.append(cell)
        return Text(_GAP, no_wrap=True, overflow="ignore").join(padded)


def _longest_word(text: Text) -> int:
    return max((word.cell_len for line in text.split() for word in line.split(" ")), default=0)
