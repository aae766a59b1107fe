"""`collabctl models pair`: a little network answers in the place of a big one where it is sure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collabd.ctl.command import Command
from collabd.ctl.models.loading import destination, load_package, package_path, tell
from collabd.ctl.models.thresholds import thresholds_tables
from collabd.ctl.output import emit
from collabd.ctl.progress import tracked

if TYPE_CHECKING:
    from collab_sdk.reports import LittleReport

# More promise hardly more, and all of them are in memory.
_MOST_IMAGES = 2500


@click.command(cls=Command)
@click.argument("big", metavar="BIG")
@click.option(
    "--little", required=True, metavar="SMALL", help="The model, or package directory, of the little network."
)
@click.option(
    "--calibration",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A folder of typical images: 300 or more, better 2,500. BIG must be sure of 200 of them at least.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep the new package as this directory.")
@click.option("--no-load", is_flag=True, help="Only build the package (with --out).")
def pair(big: str, *, little: str, calibration: Path, out: Path | None, no_load: bool) -> None:
    """Let the classifier SMALL answer for the classifier BIG, for images of which SMALL is sure.

    BIG and SMALL are models that collabd serves, or package directories; their labels are the same. BIG's package then
    names SMALL, and says for a few thresholds which part of the images SMALL answers and what fidelity both together
    promise, if BIG answers the others without loss. collabd asks SMALL first, or while a companion works on the image,
    where that is better and keeps the fidelity that a call asks for. (To pair a device with a companion, see
    'collabctl pair'.)
    """
    if no_load and not out:
        raise click.UsageError("--no-load keeps nothing without --out")
    paths = package_path(big), package_path(little)
    with destination(out) as directory:
        report = _pair(*paths, calibration=calibration, directory=directory)
        emit(report, thresholds_tables, as_json=False)
        if not no_load:
            load_package(directory)


def _pair(big: Path, little: Path, *, calibration: Path, directory: Path) -> LittleReport:
    from collabd.catalog.authoring.pairing import pair as paired
    from collabd.catalog.package.little import little_report
    from collabd.catalog.package.package import load
    from collabd.ctl.models.building import image_files, read_image

    packages = load(big), load(little)
    paths = image_files(calibration, _MOST_IMAGES)
    tell(f"pairing {packages[0].manifest.name} with {packages[1].manifest.name} over {len(paths)} images ...")
    picture = packages[0].manifest.require_picture()
    images = [read_image(path, picture) for path in tracked("reading images", paths)]
    written = paired(*packages, images, track=tracked, out=directory)
    found = written.manifest.little
    assert found is not None  # noqa: S101 (that is what was written)
    return little_report(found)
