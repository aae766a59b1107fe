"""Build a model package from an ONNX graph: optimise, order, store in half width, find the cuts, calibrate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage
from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.batch_size import localise
from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.authoring.equivalence import reference_scores, require_equal
from collabd.catalog.authoring.optimise import fix_batch, halve_weights, optimise
from collabd.catalog.authoring.score_kind import judge
from collabd.catalog.graph.batching import crossing, hindrance
from collabd.catalog.graph.effort import unfollowed
from collabd.catalog.graph.probe_images import probe_images
from collabd.catalog.package.faults import inconsistencies, misfits
from collabd.catalog.package.manifest import Layer, Manifest, Preprocessing
from collabd.catalog.package.package import Package, write
from collabd.catalog.package.scores import as_classes
from collabd.engine import EngineError
from collabd.partition import Network, PartitionError, candidate_cuts, layers, order
from collabd.profiling.calibrate import Calibration, uncalibrated
from collabd.profiling.evidence import doubts

Tell = Callable[[str], object]
_log = logging.getLogger(__name__)


def build(
    model: onnx.ModelProto,
    *,
    name: str,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    licence: str,
    provenance: str,
    images: Sequence[bytes | np.ndarray] = (),
    accuracy: Mapping[str, str | int | float] | None = None,
    licence_text: str | None = None,
    scores: ScoreKind | None = None,
    tell: Tell = _log.info,
    out: Path,
) -> Package:
    """Build the package `name` from `model` as directory `out`, replacing what is there.

    `model` takes uint8 [batch, height, width, 3] and returns float32 [batch, labels]. `images` (encoded, or uint8
    [height, width, 3]) calibrate the codecs; without them only the lossless ones are offered. `licence` names the
    licence, `licence_text` is all of it. `scores` says what they are; None: judged by their values. `tell` is called
    with what was found out. Raises `InvalidPackage` if the graph cannot be cut, does not fit its labels, or answers
    differently once stored; `InvalidImage` if an image cannot be read.
    """
    try:
        stored, network = _stored(model, tell)
        specs = layers(network)
        candidates = candidate_cuts(network, specs)
    except PartitionError as error:
        raise InvalidPackage(f"collabd cannot cut {name}: {error}") from error
    manifest = Manifest(
        name=name,
        labels=tuple(labels),
        preprocessing=preprocessing,
        input=network.inputs[0].name,
        output=network.outputs[0].name,
        dynamic_batch=network.inputs[0].shape[0] is None,
        layers=tuple(Layer(name=spec.name, op=spec.op, tensors=spec.tensors, macs=spec.macs) for spec in specs),
        cuts=tuple(uncalibrated(network, spec) for spec in candidates),
        licence=licence,
        provenance=provenance,
        accuracy=None if accuracy is None else dict(accuracy),
    )
    if faults := [*inconsistencies(manifest), *misfits(manifest, network)]:
        raise InvalidPackage(f"{name}: {'; '.join(faults)}")
    try:
        calibration = Calibration(network, calibration_pixels(images, preprocessing))
        probes = probe_images(preprocessing.height, preprocessing.width) if images else calibration.images[:0]
        kind = _kind(model, calibration, probes, stated=scores, tell=tell)
        manifest = msgspec.structs.replace(manifest, output_kind=kind)
        if images:
            for doubt in doubts(len(images), calibration.reference(kind), len(labels)):
                tell(doubt)
            manifest = msgspec.structs.replace(manifest, cuts=tuple(calibration.cut(cut, kind) for cut in candidates))
    except EngineError as error:
        raise InvalidPackage(f"collabd cannot run {name} in two parts: {error}") from error
    text = licence_text or f"Licence: {licence}\n\n{provenance}\n"
    return write(out, manifest, model=stored.SerializeToString(deterministic=True), licence=text)


def _stored(model: onnx.ModelProto, tell: Tell = _log.info) -> tuple[onnx.ModelProto, Network]:
    """The graph as the package keeps it. It takes one image at a time if several must not run together."""
    try:
        stored = halve_weights(order(localise(optimise(model))))
        network = Network.from_proto(stored)
        lost = unfollowed(stored)
        reason = f"does not say how large {lost} is" if lost else hindrance(network, crossing(network))
    except PartitionError as error:
        reason = f"cannot be analysed for several images ({error})"
    if reason is None:
        return stored, network
    stored = halve_weights(order(fix_batch(model)))
    tell(f"images run one at a time and never join in a batch, because the graph {reason}")
    return stored, Network.from_proto(stored)


def _kind(
    model: onnx.ModelProto, calibration: Calibration, probes: np.ndarray, *, stated: ScoreKind | None, tell: Tell
) -> ScoreKind:
    """The kind of the scores, judged by the images of `calibration` and the `probes`.

    Raises `InvalidPackage` if the stored network answers differently from `model`.
    """
    pictures = calibration.images
    expected = reference_scores(model, np.concatenate([pictures, probes]))
    judged = judge(expected)
    kind = stated or judged.kind
    require_equal(as_classes(expected[: len(pictures)], kind), as_classes(calibration.scores, kind))
    if kind == judged.kind:
        tell(f"scores: {kind}, because {judged.why}")
    else:
        tell(f"scores: {kind}, as stated by --scores, although they look like {judged.kind}: {judged.why}")
    return kind
