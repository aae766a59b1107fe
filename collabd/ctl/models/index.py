"""`collabctl models index`: packages, put where others can pull them from."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command


@click.command(cls=Command)
@click.argument(
    "packages", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR..."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the index. Any web server can serve it as it is.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Sign the index with the ed25519 key in this file (PEM). If there is no such file, a key is made.",
)
def index(packages: tuple[Path, ...], *, out: Path, key: Path | None) -> None:
    """Add the packages in DIR... to an index.

    The folder --out gets one archive for each package, and index.json, which names all that the folder offers. A
    package whose name is there already becomes the next version of that. Who pulls must know the sha256 of the index,
    or the key that it is signed with: this prints both.
    """
    import hashlib

    from collabd.catalog.package.package import load
    from collabd.catalog.pull.publish import INDEX, publish
    from collabd.catalog.pull.trust import public_text, signing_key

    # Before anything is written.
    signer = None if key is None else signing_key(key)
    listed, content = publish([load(path) for path in packages], out, signer=signer)
    for offer in listed.models:
        click.echo(f"{offer}: {offer.task}, {offer.archive.bytes / 1e6:.1f} MB, {offer.licence}")
    click.echo(f"{out / INDEX} has sha256 {hashlib.sha256(content).hexdigest()}")
    if signer is not None:
        click.echo(f"it is signed with the key {public_text(signer)}")
