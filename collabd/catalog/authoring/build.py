"""Build a model package from an ONNX graph: optimise, order, store in half width, find the cuts, calibrate."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.batch_size import localise
from collabd.catalog.authoring.calibrated import Tell, calibrated, checked, uncounted
from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.authoring.equivalence import require_same_values
from collabd.catalog.authoring.limits import limits
from collabd.catalog.authoring.optimise import fix_batch, halve_weights, optimise
from collabd.catalog.authoring.quantise.package import quantise
from collabd.catalog.authoring.quantise.variant import require_enough
from collabd.catalog.graph.batching import crossing, hindrance
from collabd.catalog.graph.effort import unfollowed
from collabd.catalog.package.cut_rules import first_cut
from collabd.catalog.package.faults import inconsistencies, misfits
from collabd.catalog.package.manifest import Layer, Manifest, Picture, Port, Task, Tensors
from collabd.catalog.package.package import Package, write
from collabd.engine import EngineError
from collabd.partition import Network, PartitionError, TensorInfo, candidate_cuts, layers, order
from collabd.profiling.calibrate import Calibration, uncalibrated
from collabd.tracking import Track, untracked

_log = logging.getLogger(__name__)


def build(
    model: onnx.ModelProto,
    *,
    name: str,
    task: Task,
    picture: Picture | None,
    licence: str,
    provenance: str,
    images: Sequence[bytes | np.ndarray] = (),
    int8: bool = False,
    accuracy: Mapping[str, str | int | float] | None = None,
    licence_text: str | None = None,
    scores: ScoreKind | None = None,
    tell: Tell = _log.info,
    track: Track = untracked,
    out: Path,
) -> Package:
    """Build the package `name` from `model` as directory `out`, replacing what is there.

    `model` has the inputs that `picture` says (None: any tensors) and the outputs of the `task`. `images` (encoded, or
    uint8 [height, width, 3]) calibrate the codecs; without them nothing is promised of the lossy ones. With `int8` they
    also make a graph in int8, unless that is no use to the network, which `tell` is told. `licence` names the licence,
    `licence_text` is all of it. `scores` says what a classifier's scores are, whatever the `task` says; None: judged by
    their values. `tell` is called with what was found out, and `track` goes through what takes long. Raises
    `InvalidPackage` if the graph cannot be cut, does not fit its task, or answers differently once stored;
    `InvalidImage` if an image cannot be read; `InvalidRequest` for images where the network takes none, or where int8
    wants more.
    """
    if int8:
        require_enough(name, picture, len(images))
    if images and picture is None:
        raise InvalidRequest(f"{name} takes tensors, so images cannot calibrate it: leave them out")
    try:
        stored, network = _stored(model, tell)
        specs = layers(network)
        candidates = candidate_cuts(network, specs, first=first_cut(picture))
    except PartitionError as error:
        raise InvalidPackage(f"collabd cannot cut {name}: {error}") from error
    manifest = Manifest(
        name=name,
        task=task,
        picture=picture,
        inputs=tuple(map(_port, network.inputs)),
        outputs=tuple(map(_port, network.outputs)),
        dynamic_batch=network.inputs[0].shape[:1] == (None,),
        layers=tuple(Layer(name=spec.name, op=spec.op, tensors=spec.tensors, macs=spec.macs) for spec in specs),
        cuts=tuple(uncalibrated(network, spec, picture) for spec in candidates),
        answer_bytes=sum(info.nbytes for info in network.outputs),
        licence=licence,
        provenance=provenance,
        accuracy=None if accuracy is None else dict(accuracy),
    )
    if faults := [*inconsistencies(manifest), *misfits(manifest, network)]:
        raise InvalidPackage(f"{name}: {'; '.join(faults)}")
    data = stored.SerializeToString(deterministic=True)
    for limit in limits(data, network, layers=specs, cuts=candidates):
        tell(limit)
    try:
        if picture is None:
            require_same_values(model, network)
        else:
            samples = calibration_pixels(images, picture)
            calibration = Calibration(network, samples.pixels)
            manifest = checked(manifest, model, calibration, samples=samples, scores=scores, tell=tell)
            if images:
                manifest = calibrated(manifest, calibration, candidates, samples=samples, tell=tell, track=track)
            elif not isinstance(task, Tensors):
                manifest = uncounted(manifest, network, candidates, track=track)
    except EngineError as error:
        raise InvalidPackage(f"collabd cannot run {name} in two parts: {error}") from error
    text = licence_text or f"Licence: {licence}\n\n{provenance}\n"
    package = write(out, manifest, model=data, licence=text)
    return _quantised(package, images, tell=tell, track=track) if int8 else package


def _quantised(package: Package, images: Sequence[bytes | np.ndarray], *, tell: Tell, track: Track) -> Package:
    """The package with an int8 graph, or as it is if that is no use to it."""
    try:
        return quantise(package, images, tell=tell, track=track, out=package.path)
    except InvalidPackage as error:
        tell(f"there is no int8 graph: {error}")
        return package


def _port(info: TensorInfo) -> Port:
    return Port(info.name, info.dtype.name, info.shape)


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
