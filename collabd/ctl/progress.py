"""How far long work is: a bar on stderr, if that is a terminal. A pipe or a file gets nothing of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_Piece = TypeVar("_Piece")
# What a bar counts. Of "time" it only shows how much has passed, since nobody knows the end.
_Unit: TypeAlias = Literal["bytes", "pieces", "time"]
_BAR_WIDTH = 24


@contextmanager
def bytes_bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar of bytes, which goes when all have come. Call what it gives with how many that are by now."""
    with _shown("bytes") as progress:
        if progress is None:
            yield lambda _: None
            return
        task = progress.add_task(what, total=total)

        def at(come: int) -> None:
            progress.update(task, completed=come)
            if come >= total:
                progress.stop()

        yield at


def tracked(what: str, pieces: Sequence[_Piece], /) -> Iterable[_Piece]:
    """The pieces, with a bar that counts them (`collabd.tracking.Track`)."""
    with _shown("pieces") as progress:
        if progress is None:
            yield from pieces
            return
        task = progress.add_task(what, total=len(pieces))
        for piece in pieces:
            yield piece
            progress.advance(task)


@contextmanager
def busy(what: str) -> Iterator[Callable[[str], object]]:
    """A sign that something goes on, of which nobody knows the end. Call what it gives with what that is by now."""
    with _shown("time") as progress:
        if progress is None:
            yield lambda _: None
        else:
            task = progress.add_task(what, total=None)
            yield lambda now: progress.update(task, description=now)


@contextmanager
def _shown(unit: _Unit) -> Iterator[Progress | None]:
    """The display; None where there is no terminal whose lines can be written again."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in {"", "dumb", "unknown"}:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    # Names are data: a bracket in them must not count as markup. rich itself respects NO_COLOR.
    with Progress(*_columns(unit), console=Console(stderr=True, markup=False), transient=True) as progress:
        yield progress


def _columns(unit: _Unit) -> Iterator[ProgressColumn]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    if unit == "time":
        yield SpinnerColumn()
    yield TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    if unit == "time":
        yield TimeElapsedColumn()
        return
    yield BarColumn(_BAR_WIDTH)
    yield DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    yield TimeRemainingColumn()
