"""Prints a report as JSON, or as tables made from the same object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from collabd.ctl.tables import Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# So wide that nothing is wrapped in a pipe or a file. COLUMNS, which watch(1) sets, overrides this.
_PIPE_WIDTH = 10_000
_KEY_WIDTH = 9

Report = TypeVar("Report", bound=Mapping[str, object])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


def emit(report: Report, render: Callable[[Report], Iterable[Table]], *, as_json: bool, lines: bool = False) -> None:
    """Print the report as JSON, or the parts that `render` makes of it with an empty line between them.

    `lines`: the JSON in one line, for commands that print several.
    """
    if as_json:
        click.echo(json.dumps(report, indent=None if lines else 2))
        return
    screen = _console()
    with screen.capture() as captured:
        for index, part in enumerate(render(report)):
            if index:
                screen.print()
            screen.print(part, crop=False)
    # rich pads every cell with spaces, also the last one of a line.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(*headings: str, spare: Sequence[str] = (), long_last: bool = False) -> Table:
    """An empty `Table`."""
    return Table(*headings, spare=spare, long_last=long_last)


def fields(values: Mapping[str, str | Text]) -> Table:
    """One line for each value, with its name before it."""
    built = Table("", "", long_last=True, least_name=_KEY_WIDTH)
    for name, value in values.items():
        built.add_row(styled(name, "bold"), value)
    return built


def styled(text: str, style: str) -> Text:
    """Coloured, where there are colours."""
    from rich.text import Text

    return Text(text, style)


def _console() -> Console:
    from rich.console import Console

    given = os.environ.get("COLUMNS", "")
    width = None if sys.stdout.isatty() or (given.isdecimal() and int(given)) else _PIPE_WIDTH
    # Names and labels are data: a bracket in them must not count as markup.
    return Console(width=width, markup=False, emoji=False, highlight=False)
