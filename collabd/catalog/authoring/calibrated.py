"""What a package says of its network's answers, found out with sample images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import onnx

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.calibration_pixels import Samples
from collabd.catalog.authoring.equivalence import reference_outputs, require_alike, require_equal
from collabd.catalog.authoring.score_kind import judge
from collabd.catalog.graph.probe_images import photograph_like, probe_images
from collabd.catalog.package.manifest import NO_IMAGES, Agreement, Classify, CodecFigures, Cut, Manifest
from collabd.catalog.package.scores import as_classes
from collabd.partition import CutSpec, Network
from collabd.profiling.calibrate import Calibration
from collabd.profiling.evidence import doubts, few
from collabd.profiling.likeness.classes import ClassLikeness
from collabd.profiling.likeness.likeness import likeness_of
from collabd.tracking import Track

Tell: TypeAlias = Callable[[str], object]


def checked(
    manifest: Manifest,
    model: onnx.ModelProto,
    calibration: Calibration,
    *,
    samples: Samples,
    scores: ScoreKind | None,
    tell: Tell,
) -> Manifest:
    """The manifest, with the kind of a classifier's scores: `scores`, or as their values show (None).

    Values are judged by the images of the calibration; beside given ones also by images made by rule.
    Raises `InvalidPackage` if the stored network answers differently from `model`.
    """
    pictures, task = calibration.images, manifest.task
    if not isinstance(task, Classify):
        expected = reference_outputs(model, [{manifest.input_names[0]: picture[np.newaxis]} for picture in pictures])
        require_alike(likeness_of(manifest, expected, samples.sizes), calibration.outputs)
        return manifest
    picture = manifest.require_picture()
    (source,), (output,) = manifest.input_names, manifest.output_names
    probes = probe_images(picture.height, picture.width) if samples.given else pictures[:0]
    judged_by = np.concatenate([pictures, probes])
    expected_scores = reference_outputs(model, [{source: image[np.newaxis]} for image in judged_by])[output]
    judged = judge(expected_scores)
    kind = scores or judged.kind
    require_equal(as_classes(expected_scores[: len(pictures)], kind), as_classes(calibration.outputs[output], kind))
    if kind == judged.kind:
        tell(f"scores: {kind}, because {judged.why}")
    else:
        tell(f"scores: {kind}, as stated by --scores, although they look like {judged.kind}: {judged.why}")
    return msgspec.structs.replace(manifest, task=msgspec.structs.replace(task, output_kind=kind))


def calibrated(
    manifest: Manifest,
    calibration: Calibration,
    candidates: Sequence[CutSpec],
    *,
    samples: Samples,
    tell: Tell,
    track: Track,
) -> Manifest:
    """The manifest with what each codec makes of the images."""
    likeness = likeness_of(manifest, calibration.outputs, samples.sizes)
    if isinstance(likeness, ClassLikeness):
        for doubt in doubts(samples.given, likeness.reference, len(manifest.labels)):
            tell(doubt)
    cuts = tuple(calibration.cut(spec, likeness) for spec in track("measuring cuts", candidates))
    told = msgspec.structs.replace(manifest, cuts=cuts, answer_bytes=calibration.answer_bytes())
    if not isinstance(likeness, ClassLikeness):
        for doubt in few(max((each.sure_images for each in _agreements(told)), default=None)):
            tell(doubt)
    return told


def uncounted(manifest: Manifest, network: Network, candidates: Sequence[CutSpec], *, track: Track) -> Manifest:
    """The manifest with lossy codecs of which nothing is promised: devices learn in service how faithful they are.

    Their bytes, and which scales are best, are found out with images that compress as photographs do.
    """
    picture = manifest.require_picture()
    pixels = photograph_like(picture.height, picture.width)
    calibration = Calibration(network, pixels)
    likeness = likeness_of(manifest, calibration.outputs, [(picture.width, picture.height)] * len(pixels))
    cuts = (
        Cut(
            name=spec.name,
            head_layers=spec.head_layers,
            tensors=spec.tensors,
            codecs=tuple(map(_unproven, calibration.figures(spec, likeness))),
        )
        for spec in track("measuring cuts", candidates)
    )
    return msgspec.structs.replace(manifest, cuts=tuple(cuts))


def _unproven(figures: CodecFigures) -> CodecFigures:
    """The figures without what made-up images say of the agreement."""
    if figures.agreement is None:
        return figures
    return msgspec.structs.replace(figures, agreement=NO_IMAGES, mean_iou=None)


def _agreements(manifest: Manifest) -> Iterator[Agreement]:
    for cut in manifest.cuts:
        for figures in cut.codecs:
            if figures.agreement is not None:
                yield figures.agreement
