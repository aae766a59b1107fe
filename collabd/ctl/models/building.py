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
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from collabd.imaging import prepare
from collabd.tracking import Track, untracked

# If all of 500 images agree, the fidelity is promised as 99.9 %; more images mostly make the build slower.
MOST_IMAGES = 500
_NOT_FOR_TORCHVISION = ("mean", "std", "channels", "rule", "decoder", "score_threshold", "iou_threshold")
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".webp"}


def build_package(
    source: str,
    directory: Path,
    *,
    tell: Callable[[str], None],
    track: Track = untracked,
    labels: Path | None = None,
    calibration: Path | None = None,
    int8: bool = False,
    random_weights: bool = False,
    scores: ScoreKind | None = None,
    **stated: Any,
) -> Package:
    """Build `source` as package `directory`; `stated` are further fields of the importers' `ImportOptions`.

    `calibration`: a folder of images. `int8`: whether to build a graph in int8 too. `scores`: what they are (see
    `build`). `tell` is called with what is going on, and `track` goes through what takes long. Raises `InvalidRequest`,
    `InvalidPackage`, `InvalidImage` and, for options that do not go with the source, `click.UsageError`.
    """
    torchvision = source.startswith("torchvision:")
    if torchvision and (own := [f"--{name.replace('_', '-')}" for name in _NOT_FOR_TORCHVISION if name in stated]):
        raise click.UsageError(f"torchvision's networks bring their own {', '.join(own)}: leave it out")
    if "output" in stated and not source.lower().endswith((".onnx", ".pt2")):
        raise click.UsageError("--output is for files (.onnx, .pt2)")
    if random_weights and not torchvision:
        raise click.UsageError("--random-weights is for torchvision's networks")
    if int8 and calibration is None:
        raise click.UsageError("--int8 needs --calibration DIR: typical pictures tell the ranges of all features")
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
    if calibration is not None and network.picture is None:
        raise InvalidRequest("--calibration has pictures, but the network takes tensors: leave it out")
    if scores is not None and not isinstance(network.task, Classify):
        raise InvalidRequest("--scores is for classifiers, and this network is none: leave it out")
    tell(f"building {network.name}{f', calibrating on {len(paths)} images' if paths else ''} ...")
    return build(
        network.model,
        name=network.name,
        task=network.task,
        picture=network.picture,
        licence=network.licence,
        provenance=network.provenance,
        images=[read_image(path, network.picture) for path in track("reading images", paths) if network.picture],
        int8=int8,
        scores=scores,
        tell=tell,
        track=track,
        out=directory,
    )


def image_files(folder: Path, most: int = MOST_IMAGES) -> list[Path]:
    """The images in a folder and those below it, at most so many and then evenly spread over the names."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InvalidRequest(f"{folder} holds no images ({', '.join(sorted(_SUFFIXES))})")
    wanted = min(len(found), most)
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


def read_image(path: Path, picture: Picture) -> bytes:
    """The file's bytes, checked to be an image: the builder's error would not name the file."""
    data = path.read_bytes()
    try:
        prepare(data, picture)
    except InvalidImage as error:
        raise InvalidImage(f"{path}: {error}") from error
    return data
