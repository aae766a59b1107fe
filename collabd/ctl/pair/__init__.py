"""`collabctl pair`: keys for a device and a companion, and their places."""

from __future__ import annotations

import click

from collabd.ctl.pair.add import add
from collabd.ctl.pair.find import find
from collabd.ctl.pair.listing import list_devices
from collabd.ctl.pair.new import new
from collabd.ctl.pair.remove import remove
from collabd.ctl.pair.renew import renew


@click.group()
def pair() -> None:
    """Make keys for a device and a companion, and put them in place.

    On the companion, `sudo collabctl pair new DEVICE` makes the keys and the file DEVICE.pair. Copy this file to the
    device. There, `sudo collabctl pair add DEVICE.pair` puts the device's keys in place.
    """


for command in (new, add, find, list_devices, renew, remove):
    pair.add_command(command)
