"""`collabctl models`: the models that the daemon serves."""

from __future__ import annotations

import click

from collabd.ctl.models.add import add
from collabd.ctl.models.index import index
from collabd.ctl.models.listing import list_models
from collabd.ctl.models.pair import pair
from collabd.ctl.models.pull import pull
from collabd.ctl.models.quantise import quantise
from collabd.ctl.models.remove import remove
from collabd.ctl.models.show import show
from collabd.ctl.models.verify import verify


@click.group()
def models() -> None:
    """List, show, add, pull, quantise, pair, remove, verify and publish models."""


for command in (list_models, show, add, pull, quantise, pair, remove, verify, index):
    models.add_command(command)
