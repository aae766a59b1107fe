"""`collabctl infer`: ask about images, and show how each answer came about."""

from __future__ import annotations

from typing import Any

import click

from collabd.ctl.asking import ask, asking_options
from collabd.ctl.command import Command
from collabd.ctl.verdicts import REASONS, glossary


@click.command(cls=Command, epilog=glossary("Why a plan was chosen:", REASONS))
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGE...")
@click.option("--model", metavar="NAME", help="The model to ask (default: the daemon's).")
@asking_options
def infer(images: tuple[str, ...], **asked: Any) -> None:
    """Ask about images within a budget: their class, the objects in them, or the class of each pixel.

    Each IMAGE is a JPEG, PNG, WebP, AVIF, BMP, GIF or PPM file, or an .npz file with the inputs of a network by name
    (an .npy file has one, named as the file is).
    One that is not does not keep the others from being answered.
    """
    ask(images, **asked)
