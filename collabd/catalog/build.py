"""Build a model package from an ONNX graph: optimise, order, store in half width, find the cuts, calibrate, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage
from collabd.catalog.check import inconsistencies, misfits
from collabd.catalog.manifest import Layer, Manifest, Preprocessing
from collabd.catalog.optimise import fix_batch, halve_weights, optimise
from collabd.catalog.package import Package, write
from collabd.catalog.verify import reference_scores, require_equal
from collabd.engine import EngineError
from collabd.imaging import prepare
from collabd.partition import Network, PartitionError, TensorInfo, candidate_cuts, layers, order
from collabd.profiling.calibrate import Calibration, uncalibrated

# Without images of the user these tell at least whether the stored network computes the same.
_NOISE_IMAGES = 8


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
    out: Path,
) -> Package:
    """Build the package `name` from `model` as directory `out`, replacing what is there.

    `model` takes uint8 [batch, height, width, 3] and returns float32 [batch, labels]. `images` (encoded, or uint8
    [height, width, 3]) calibrate the codecs; without them only the lossless ones are offered. `licence` names the
    licence, `licence_text` is all of it. Raises `InvalidPackage` if the graph cannot be cut, does not fit its
    labels, or answers otherwise once stored; `InvalidImage` if an image cannot be read.
    """
    try:
        stored, network = _stored(model)
        specs = layers(network)
        candidates = candidate_cuts(network, specs)
    except PartitionError as error:
        raise InvalidPackage(f"{name} cannot be cut: {error}") from error
    manifest = Manifest(
        name=name,
        labels=tuple(labels),
        preprocessing=preprocessing,
        input=network.inputs[0].name,
        output=network.outputs[0].name,
        output_kind=_output_kind(stored),
        dynamic_batch=network.inputs[0].shape[0] is None,
        layers=tuple(Layer(spec.name, spec.op, spec.tensors, spec.macs) for spec in specs),
        cuts=tuple(uncalibrated(network, spec) for spec in candidates),
        licence=licence,
        provenance=provenance,
        accuracy=None if accuracy is None else dict(accuracy),
    )
    if faults := [*inconsistencies(manifest), *misfits(manifest, network)]:
        raise InvalidPackage(f"{name}: {'; '.join(faults)}")
    try:
        calibration = Calibration(network, _pixels(images, preprocessing))
        require_equal(reference_scores(model, calibration.images), calibration.scores)
        if images:
            manifest = msgspec.structs.replace(manifest, cuts=tuple(map(calibration.cut, candidates)))
    except EngineError as error:
        raise InvalidPackage(f"{name} cannot be run cut: {error}") from error
    text = licence_text or f"Licence: {licence}\n\n{provenance}\n"
    return write(out, manifest, stored.SerializeToString(deterministic=True), text)


def _stored(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Network]:
    """The graph as the package keeps it. Images are stacked into batches only if all that crosses a cut stacks."""
    ordered = _stackable(model) or order(fix_batch(model))
    stored = halve_weights(ordered)
    return stored, Network.from_proto(stored)


def _stackable(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The graph for any number of images; None if it does not stack, or its shapes follow for one image alone."""
    try:
        ordered = order(optimise(model))
    except PartitionError:
        return None
    return ordered if _stacks(Network.from_proto(ordered)) else None


def _stacks(network: Network) -> bool:
    """Whether every tensor alive at a cut has one entry an image along its first axis."""
    alive = {name for layer in layers(network) for name in layer.tensors}
    return all(_stacks_tensor(tensor) for tensor in (*network.inputs, *map(network.tensor, alive)))


def _stacks_tensor(tensor: TensorInfo) -> bool:
    if not tensor.shape or tensor.shape[0] is not None or None in tensor.shape[1:]:
        return False
    return tensor.nbytes == prod(size or 1 for size in tensor.shape) * tensor.dtype.itemsize


def _output_kind(model: onnx.ModelProto) -> Literal["logits", "probabilities"]:
    output = model.graph.output[0].name
    maker = next(node.op_type for node in model.graph.node if output in node.output)
    return "probabilities" if maker == "Softmax" else "logits"


def _pixels(images: Sequence[bytes | np.ndarray], wanted: Preprocessing) -> np.ndarray:
    """The images as the network takes them; noise if there are none."""
    if not images:
        shape = (_NOISE_IMAGES, wanted.height, wanted.width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return np.concatenate([prepare(image, wanted) for image in images])
