"""`collabctl pair list`: the devices that may use this companion."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command
from collabd.ctl.pair.options import COMPANION, places


@click.command("list", cls=Command)
@places(COMPANION)
def list_devices(config: Path, keys: Path | None) -> None:
    """On the companion: list the devices that have a token."""
    from collabd.ctl.pair import devices
    from collabd.ctl.pair.places import Place

    for name in devices.names(devices.token_file(Place(COMPANION, config, keys))):
        click.echo(name)
