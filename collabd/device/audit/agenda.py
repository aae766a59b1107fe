"""Which rows are audited with a picture: those in question first, and the others in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from collabd.catalog.package.promise import conceivable
from collabd.device.fidelity.figures import Fidelities
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import Row

# Rows in question, and others, for each picture. More would leave time for fewer pictures.
_IN_QUESTION = 3
_OTHERS = 1
# A row may be unlucky at first.
_ENOUGH = 10.0


class Agenda:
    """Goes round the rows of one package."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = sorted(rows)
        self._next = 0

    def rows(self, questions: Iterable[RowQuestion], believed: Fidelities) -> list[Row]:
        """The rows for the next picture. The first of `questions` matter most."""
        known = dict.fromkeys(row for row in open_rows(questions, believed) if row in self._rows)
        first = list(known)[:_IN_QUESTION]
        others = [row for row in self._in_turn() if row not in first][:_OTHERS]
        if others:
            self._next = self._rows.index(others[-1]) + 1
        return [*first, *others]

    def _in_turn(self) -> list[Row]:
        start = self._next % max(len(self._rows), 1)
        return [*self._rows[start:], *self._rows[:start]]


def open_rows(questions: Iterable[RowQuestion], believed: Fidelities) -> Iterator[Row]:
    """The rows that are conceivably faithful enough."""
    for asked in questions:
        known = believed.evidence.get(asked.row)
        if known is None:
            continue
        if known.pictures < _ENOUGH or conceivable(known.agreed, known.pictures) >= asked.least:
            yield asked.row
