"""`collabctl models pull`: a model that somebody else built, from an index."""

from __future__ import annotations

import click

from collabd.ctl.command import Command
from collabd.ctl.models.pulling import index_options, pull_model


@click.command(cls=Command)
@click.argument("model", metavar="NAME[:VERSION]")
@index_options
def pull(model: str, *, index: str | None, sha256: str, key: str) -> None:
    """Fetch the model NAME from an index, check it, and load it.

    The index names packages, with their sizes, digests and licences; it lies in a folder or on a web server. One that
    comes over a network must have a sha256 or a signature that you know. The package is tried out as a companion tries
    a pushed one. A download that broke off goes on where it stopped when you run the command again.
    """
    pull_model(model, index=index, sha256=sha256, key=key)
