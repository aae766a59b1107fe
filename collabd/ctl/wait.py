"""`collabctl wait`: for scripts that start the daemon and continue when it answers."""

from __future__ import annotations

import click

from collabd.ctl.command import Command, client
from collabd.ctl.progress import busy


@click.command(cls=Command)
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="S", help="Seconds to wait at most.")
@click.option("--profiled", is_flag=True, help="Wait until all models are profiled, too: only then are they split.")
@click.option(
    "--companions",
    is_flag=True,
    help="Wait until each companion is known to be up or down, and those that are up have the models or refused them.",
)
def wait(timeout: float, *, profiled: bool, companions: bool) -> None:
    """Wait until collabd is ready.

    After --timeout seconds it fails, saying what collabd is still at.
    """
    with client() as daemon, busy("waiting for collabd ...") as now:
        daemon.wait(timeout, profiled=profiled, companions=companions, tell=now)
