"""`collabctl models quantise`: a package gets an int8 graph beside its own."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command
from collabd.ctl.models.loading import destination, load_package, package_path, tell
from collabd.ctl.progress import tracked


@click.command(cls=Command)
@click.argument("model", metavar="NAME")
@click.option(
    "--calibration",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A folder of typical images: 32 at least, better 300. They tell the ranges of all features, which layers to "
    "leave in fp32, and how far to trust the rest.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep the new package as this directory.")
@click.option("--no-load", is_flag=True, help="Only build the package (with --out).")
def quantise(model: str, *, calibration: Path, out: Path | None, no_load: bool) -> None:
    """Give the model NAME a second graph, which computes with 8-bit integers, and load it.

    NAME is a model that collabd serves, or a package directory. Its own graph stays as it is. What a cut gives in
    either precision fits the other, so a plan may run in int8 on one machine and in fp32 on the other. Layers whose
    rounding changes too many answers stay in fp32. On some processors int8 is slower: collabd measures both.
    """
    if no_load and not out:
        raise click.UsageError("--no-load keeps nothing without --out")
    source = package_path(model)
    with destination(out) as directory:
        _quantise(source, calibration, directory)
        if not no_load:
            load_package(directory)


def _quantise(source: Path, calibration: Path, directory: Path) -> None:
    from collabd.catalog.authoring.quantise.package import quantise as with_int8
    from collabd.catalog.package.package import load
    from collabd.ctl.models.building import image_files, read_image

    package = load(source)
    picture = package.manifest.require_picture()
    paths = image_files(calibration)
    tell(f"quantising {package.manifest.name} with {len(paths)} images ...")
    images = [read_image(path, picture) for path in tracked("reading images", paths)]
    with_int8(package, images, tell=tell, track=tracked, out=directory)
