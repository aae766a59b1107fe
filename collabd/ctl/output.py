"""How a report is printed: as JSON, or as tables made from the very same object."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

# Wide enough that nothing in a pipe or a file is ever wrapped.
_PIPE_WIDTH = 10_000
_KEY_WIDTH = 9

Report = TypeVar("Report", bound=Mapping[str, object])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


def emit(
    report: Report, render: Callable[[Report], Iterable[RenderableType]], *, as_json: bool, lines: bool = False
) -> None:
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
            screen.print(part)
    # Every column is padded, the last one too.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(*columns: str) -> Table:
    """An empty table without lines; a column whose name starts with ">" holds figures."""
    from rich.table import Table

    built = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        if name.startswith(">"):
            built.add_column(name[1:], justify="right", no_wrap=True)
        else:
            built.add_column(name, overflow="fold")
    return built


def fields(values: Mapping[str, str | Text]) -> Table:
    """One line a value, its name before it."""
    from rich.table import Table

    built = Table.grid(padding=(0, 2, 0, 0))
    built.add_column(style="bold", no_wrap=True, min_width=_KEY_WIDTH)
    built.add_column(overflow="fold")
    for name, value in values.items():
        built.add_row(name, value)
    return built


def styled(text: str, style: str) -> Text:
    """Coloured, where there are colours."""
    from rich.text import Text

    return Text(text, style)


def _console() -> Console:
    from rich.console import Console

    # Names and labels are data: a bracket in them is no markup.
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, emoji=False, highlight=False)
