"""`collabctl run`: ask a model, which is fetched first if it is not there."""

from __future__ import annotations

from typing import Any

import click

from collabd.ctl.asking import ask, asking_options
from collabd.ctl.command import Command
from collabd.ctl.models.loading import tell
from collabd.ctl.models.pulling import index_options, is_served, pull_model


@click.command(cls=Command)
@click.argument("model", metavar="NAME[:VERSION]")
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGE...")
@index_options
@asking_options
def run(model: str, images: tuple[str, ...], *, index: str | None, sha256: str, key: str, **asked: Any) -> None:
    """Ask the model NAME about images, as 'collabctl infer' does.

    If the daemon does not serve it, it is fetched first, as 'collabctl models pull' does. With :VERSION the daemon must
    serve just that version, else it is fetched too.
    """
    name, colon, _ = model.partition(":")
    if colon or not is_served(name):
        # The answer alone goes to standard output.
        pull_model(model, index=index, sha256=sha256, key=key, say=tell)
    ask(images, model=name, **asked)
