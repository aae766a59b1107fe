"""Lines of text with styles, as wide as a terminal shows them. Whatever shows them knows what a style looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Self

from rich.cells import cell_len, set_cell_size

Align = Literal["left", "right"]


class Style(StrEnum):
    """What a piece of a line is."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    HEADING = "heading"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    HEAD = "head"  # what runs on the device
    TAIL = "tail"  # what runs on the companion
    BANNER = "banner"


@dataclass
class ScreenLine:
    """Pieces of text, each with its style."""

    pieces: list[tuple[str, Style]] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, style: Style = Style.PLAIN) -> Self:
        """A line of one piece."""
        return cls([(text, style)])

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join(text for text, _ in self.pieces)

    @property
    def width(self) -> int:
        """Columns of a terminal."""
        return sum(cell_len(text) for text, _ in self.pieces)

    def add(self, text: str, style: Style = Style.PLAIN) -> Self:
        """Append a piece."""
        self.pieces.append((text, style))
        return self

    def join(self, other: ScreenLine) -> Self:
        """Append all of another line."""
        self.pieces.extend(other.pieces)
        return self

    def cut(self, width: int, more: str) -> ScreenLine:
        """As much as `width` columns take; `more` ends it where something is left out."""
        if self.width <= width:
            return self
        return ScreenLine(list(self._first(width - len(more)))).add(more, self.pieces[-1][1])

    def fitted(self, width: int, more: str, align: Align = "left") -> ScreenLine:
        """The line in exactly `width` columns."""
        line = self.cut(width, more)
        blank = (" " * (width - line.width), Style.PLAIN)
        return ScreenLine([blank, *line.pieces] if align == "right" else [*line.pieces, blank])

    def _first(self, width: int) -> Iterator[tuple[str, Style]]:
        left = max(width, 0)
        for text, style in self.pieces:
            if (size := cell_len(text)) > left:
                yield set_cell_size(text, left), style
                return
            left -= size
            yield text, style


def spread(left: ScreenLine, right: ScreenLine, width: int, *, more: str) -> ScreenLine:
    """Two lines in one, at both ends of it; the left one is cut where they do not fit beside one another."""
    room = width - right.width
    return left.cut(width, more) if room < 1 else left.fitted(room - 1, more).add(" ").join(right)


def wrapped(text: str, width: int, *, most: int, more: str, style: Style = Style.PLAIN) -> list[ScreenLine]:
    """The text over as many lines as it needs, `most` at most. All begin as far from the left as the text does."""
    indent = text[: len(text) - len(text.lstrip())]
    rows: list[str] = []
    for word in text.split():
        if rows and cell_len(rows[-1]) + 1 + cell_len(word) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(indent + word)
    shown = [ScreenLine.of(row, style) for row in rows[:most]]
    if len(rows) > most:
        shown[-1].add(f" {more}", style)
    return [line.cut(width, more) for line in shown]
