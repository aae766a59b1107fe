"""`collabctl doors key`: a token for a program that calls through a door."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.pair.options import DEVICE, command_for, name, places

_FILE = "doors"


@click.command(cls=Command)
@click.argument("program", callback=name)
@click.option("--replace", is_flag=True, help="Give the program another token if it has one already.")
@places(DEVICE)
def key(program: str, *, replace: bool, config: Path, keys: Path | None) -> None:
    """Make a token for PROGRAM, and print it.

    Only its SHA-256 is kept, in the file that `token_file` of a door names. Give the token to the program now: it is
    shown this one time.
    """
    from collabd.ctl.pair import devices
    from collabd.ctl.pair.places import PRIVATE, Place, text_of
    from collabd.keys.tokens import line, new_token

    place = Place(DEVICE, config, keys)
    path = place.folder / _FILE
    if program in devices.names(path) and not replace:
        raise Failure(f"{program} already has a token: give it another one with --replace")
    token = new_token()
    place.put(_FILE, (devices.without(text_of(path), program) + line(program, token)).encode(), PRIVATE)
    click.echo(token)
    click.echo(f'in [[doors]] of {config}: token_file = "{place.configured(_FILE)}"', err=True)
    click.echo(f"then, on this machine: {command_for('reload', DEVICE, place)} (a new door: restart)", err=True)
