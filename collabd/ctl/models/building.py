"""Builds a package on this machine as the command line says. This module imports the whole catalog, which is slow."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from collab_sdk.errors import CollabError, InvalidImage, InvalidRequest
from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import Imported, ImportOptions, resolve
from collabd.catalog.package.manifest import Preprocessing
from collabd.catalog.package.package import Package
from collabd.imaging import prepare

# If all of 500 images agree, the fidelity is promised as 99.9 %; more images mostly make the build slower.
MOST_IMAGES = 500
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".webp"}


def build_package(
    source: str,
    directory: Path,
    *,
    tell: Callable[[str], None],
    labels: Path | None = None,
    calibration: Path | None = None,
    random_weights: bool = False,
    scores: ScoreKind | None = None,
    **stated: Any,
) -> Package:
    """Build `source` as package `directory`; `stated` are further fields of the importers' `ImportOptions`.

    `calibration`: a folder of images. `scores`: what they are (see `build`). `tell` is called with what is going on.
    Raises `InvalidRequest`, `InvalidPackage`, `InvalidImage` and, for options that do not go with the source,
    `click.UsageError`.
    """
    torchvision = source.startswith("torchvision:")
    if torchvision and stated.keys() & {"mean", "std"}:
        raise click.UsageError("torchvision's networks bring their own --mean and --std: leave these options out")
    if "output" in stated and not source.lower().endswith(".onnx"):
        raise click.UsageError("--output is for ONNX files")
    if random_weights and not torchvision:
        raise click.UsageError("--random-weights is for torchvision's networks")
    paths = [] if calibration is None else image_files(calibration)
    options = ImportOptions(
        labels=None if labels is None else read_labels(labels),
        weights="random" if random_weights else "default",
        **stated,
    )
    tell(f"importing {source} ...")
    network = _import(source, options)
    for note in network.notes:
        tell(note)
    tell(f"building {network.name}{f', calibrating on {len(paths)} images' if paths else ''} ...")
    return build(
        network.model,
        name=network.name,
        labels=network.labels,
        preprocessing=network.preprocessing,
        licence=network.licence,
        provenance=network.provenance,
        images=[_read_image(path, network.preprocessing) for path in paths],
        scores=scores,
        tell=tell,
        out=directory,
    )


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and those below it, at most `MOST_IMAGES` and then evenly spread over the names."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InvalidRequest(f"{folder} holds no images ({', '.join(sorted(_SUFFIXES))})")
    wanted = min(len(found), MOST_IMAGES)
    return [found[index * len(found) // wanted] for index in range(wanted)]


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, in UTF-8, or in UTF-16 as Windows marks it; empty lines at the end do not count."""
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        labels = tuple(line.strip() for line in data.decode(encoding).rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not text in UTF-8") from error
    if not labels:
        raise InvalidRequest(f"{path} holds no labels")
    return labels


def _import(source: str, options: ImportOptions) -> Imported:
    try:
        return resolve(source, options)
    except (CollabError, OSError):
        raise
    except Exception as error:  # the user's own factory and network run in here
        raise InvalidRequest(f"{source}: {type(error).__name__}: {error}") from error


def _read_image(path: Path, preprocessing: Preprocessing) -> bytes:
    """The file's bytes, checked to be an image: the builder's error would not name the file."""
    data = path.read_bytes()
    try:
        prepare(data, preprocessing)
    except InvalidImage as error:
        raise InvalidImage(f"{path}: {error}") from error
    return data
