"""Pairs a network with a little one, which answers in its place where it is sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collab_sdk.vocabulary import Precision, ScoreKind, Sureness
from collabd.catalog.authoring.calibration_pixels import sample_pixels
from collabd.catalog.package.little import Ladder, Little
from collabd.catalog.package.manifest import Classify, Manifest, Picture
from collabd.catalog.package.package import Package, rewritten
from collabd.catalog.package.scores import as_classes
from collabd.catalog.package.sureness import sureness
from collabd.engine import EngineError
from collabd.profiling.calibrate import Calibration
from collabd.profiling.evidence import Reference, distinct
from collabd.profiling.likeness.classes import ClassLikeness
from collabd.profiling.thresholds import best_score
from collabd.tracking import Track, untracked

# So many pictures, of which the big network is sure, promise 99 % in either half if all agree.
_FEWEST_SURE = 200


def pair(
    big: Package, little: Package, images: Sequence[bytes | np.ndarray], *, track: Track = untracked, out: Path
) -> Package:
    """Write the package `big` as directory `out`, with `little` as its little network, in each precision that it has.

    `images` (encoded, or uint8 [height, width, 3]) show how often both agree. They are taken as those that calibrate
    codecs: a JPEG of the network's own size is moved, as no camera's frame lies on a JPEG's grid. Networks are less
    often sure of such frames, and more often wrong. `track` goes through them. Raises `InvalidRequest` if the two
    packages are no pair or the images are too few, `InvalidImage` if one cannot be read, `InvalidPackage`.
    """
    task, _ = _classifier(big.manifest), _classifier(little.manifest)
    _check_alike(big.manifest, little.manifest)
    here, there = (package.manifest.require_picture() for package in (big, little))
    pixels = _pixels(images, here)
    kept = distinct(pixels)
    pixels = pixels[kept]
    scores = _scores(big, Precision.FP32, pixels, track=track)
    reference = ClassLikeness({"": scores}, "", task.output_kind).reference
    if (sure := int(reference.sure.sum())) < _FEWEST_SURE:
        raise InvalidRequest(
            f"{big.manifest.name} is sure of {sure} of the {len(pixels)} calibration images that differ; a pair needs "
            f"{_FEWEST_SURE} or more, so that both halves of them can promise 99 %: give more images"
        )
    taken = pixels if here == there else _pixels([images[index] for index in kept], there)
    tried = [
        _ladder(little, precision, taken, reference=reference, track=track) for precision in little.manifest.precisions
    ]
    ladders = tuple(each for each in tried if each.thresholds)
    if not ladders:
        raise InvalidRequest(
            f"{little.manifest.name} cannot stand in for {big.manifest.name}: where it is surest, the two agree too "
            "rarely for a fidelity of 90 %"
        )
    named = Little(package=little.manifest.name, digest=little.digest, ladders=ladders)
    return rewritten(big, msgspec.structs.replace(big.manifest, little=named), out)


def _ladder(
    little: Package, precision: Precision, pixels: npt.NDArray[np.uint8], *, reference: Reference, track: Track
) -> Ladder:
    """What it is worth in this precision, whose answers and sureness are its own; `reference` is of the big network."""
    kind = _classifier(little.manifest).output_kind
    answers = _scores(little, precision, pixels, track=track)
    measured = {measure: sureness(answers, kind, measure) for measure in Sureness}
    score, found = best_score(measured, as_classes(answers, kind).argmax(axis=1), reference)
    return Ladder(precision=precision, score=score, thresholds=found)


def _classifier(manifest: Manifest) -> Classify:
    task = manifest.task
    if not isinstance(task, Classify) or manifest.picture is None:
        raise InvalidRequest(f"{manifest.name} is no classifier of pictures; only such networks can be paired")
    if task.output_kind == ScoreKind.INDEPENDENT:
        raise InvalidRequest(
            f"{manifest.name} gives each label a probability by itself; networks to be paired have one right label"
        )
    return task


def _check_alike(big: Manifest, little: Manifest) -> None:
    if big.name == little.name:
        raise InvalidRequest(f"{big.name} cannot be its own little network")
    if big.labels == little.labels:
        return
    if {*big.labels} == {*little.labels}:
        raise InvalidRequest(f"{big.name} and {little.name} have the same labels in different orders")
    extra = [label for label in little.labels if label not in big.labels]
    lacks = [label for label in big.labels if label not in little.labels]
    told = f"{len(lacks)} that {little.name} lacks ({_few(lacks)})" if lacks else f"none of {_few(extra)}"
    raise InvalidRequest(
        f"{big.name} and {little.name} have other labels: {big.name} has {told}; a pair needs equal ones"
    )


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")


def _pixels(images: Sequence[bytes | npt.NDArray[np.uint8]], wanted: Picture) -> npt.NDArray[np.uint8]:
    if not images:
        raise InvalidRequest("there are no calibration images")
    return np.concatenate([sample_pixels(image, wanted) for image in images])


def _scores(
    package: Package, precision: Precision, pixels: npt.NDArray[np.uint8], *, track: Track
) -> npt.NDArray[np.float32]:
    """The unsplit network's output for all pictures."""
    (output,) = package.manifest.output_names
    try:
        scores = Calibration(package.networks()[precision], pixels, track=track).outputs[output]
    except EngineError as error:
        raise InvalidPackage(f"collabd cannot run {package.manifest.name} in {precision}: {error}") from error
    if len(scores) < len(pixels):
        raise InvalidRequest(f"{len(pixels)} images are too many for {package.manifest.name}; give {len(scores)}")
    return np.asarray(scores, np.float32)
