"""`--plot FILE`: the option, and what is said if the file cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.plots.target import ready

plot_option = click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    help="Draw the results into this file, a PNG or an SVG by its ending.",
)


def check(picture: Path | None) -> None:
    """Raises `InvalidRequest` if a picture is asked for that cannot be drawn: before anything is computed."""
    if picture is not None:
        ready(picture)
