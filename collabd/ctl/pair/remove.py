"""`collabctl pair remove`: a device may use this companion no longer."""

from __future__ import annotations

import os
from pathlib import Path

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.pair.options import COMPANION, command_for, places


@click.command(cls=Command)
@click.argument("device")
@places(COMPANION)
def remove(device: str, config: Path, keys: Path | None) -> None:
    """On the companion: take the token of DEVICE back."""
    from collabd.atomic_file import replace_file
    from collabd.ctl.pair import devices
    from collabd.ctl.pair.places import PRIVATE, Place

    place = Place(COMPANION, config, keys)
    path = devices.token_file(place)
    if device not in devices.names(path):
        raise Failure(f"{path} has no device {device}")
    owner = path.stat().st_uid if os.geteuid() == 0 else None
    # The daemon takes an empty file for a damaged one.
    left = devices.without(path.read_text(), device) or "# No device.\n"
    replace_file(path, left.encode(), mode=PRIVATE, owner=owner)
    command = command_for("reload", COMPANION, place)
    click.echo(f"removed the token of {device}. To refuse this device from now on, run: {command}")
