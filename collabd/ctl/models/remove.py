"""`collabctl models remove`."""

from __future__ import annotations

import click

from collabd.ctl.command import Command, client


@click.command(cls=Command)
@click.argument("name")
def remove(name: str) -> None:
    """Unload the model NAME and delete its package."""
    with client() as daemon:
        daemon.unload_model(name)
    click.echo(f"removed {name}")
