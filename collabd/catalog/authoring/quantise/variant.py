"""The int8 variant of a package: its graph, and what each cut makes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collab_sdk.vocabulary import Precision
from collabd.catalog.authoring.calibrated import Tell
from collabd.catalog.authoring.calibration_pixels import Samples
from collabd.catalog.authoring.optimise import halve_weights
from collabd.catalog.authoring.quantise.rewrite import with_integers
from collabd.catalog.authoring.quantise.scheme import IntegerLayer, integer_layers, rounded
from collabd.catalog.authoring.quantise.search import Pictures, Search
from collabd.catalog.authoring.quantise.steps import observed
from collabd.catalog.graph.batching import hindrance
from collabd.catalog.graph.effort import effort, rows_together
from collabd.catalog.graph.operator_sets import raised
from collabd.catalog.package.manifest import Manifest, Picture
from collabd.engine import Engine
from collabd.limits.cores import usable_cores
from collabd.partition import CutSpec, Network
from collabd.profiling.calibrate import Calibration
from collabd.profiling.likeness.likeness import likeness_of
from collabd.tracking import Track, untracked

# Ranges of features are not known from fewer pictures.
_LEAST_PICTURES = 32
# From so many on, those that choose do not measure.
_APART = 150
# Neighbours in a folder often show one scene, so runs of so many stay together. Every third run chooses.
_RUN = 8
_RUNS = 3
# An int8 network that promises less is not kept.
_LEAST_PROMISED = 0.8
# The first operator set in which the channels of a weight have steps of their own.
_PER_CHANNEL = 13
_BATCH = 16
_KEPT_BYTES = 1 << 29
_CACHE_BYTES = 1 << 30


class Variant(NamedTuple):
    """The int8 graph as it is stored, and the manifest that names it."""

    model: bytes
    manifest: Manifest


def require_enough(name: str, picture: Picture | None, pictures: int) -> None:
    """Raise `InvalidRequest` if so many pictures cannot make an int8 graph of the network `name`, which takes such."""
    if picture is None:
        raise InvalidRequest(f"{name} takes tensors, and int8 needs pictures to find the ranges of its features")
    if pictures < _LEAST_PICTURES:
        raise InvalidRequest(
            f"int8 needs at least {_LEAST_PICTURES} pictures that differ, better 300, and there are {pictures}: "
            "add more to the calibration"
        )


def int8_variant(
    manifest: Manifest, model: onnx.ModelProto, samples: Samples, *, tell: Tell, track: Track = untracked
) -> Variant:
    """The variant of a package whose stored fp32 graph is `model`; what its manifest says of fp32 stays.

    Equal arguments give equal bytes on one machine. Raises `InvalidRequest` if there are too few pictures, and
    `InvalidPackage` if int8 changes too many answers, or nothing in the graph can be quantised; `EngineError` if it
    does not run.
    """
    require_enough(manifest.name, manifest.picture, len(samples.pixels) if samples.given else 0)
    source = raised(model, _PER_CHANNEL)
    network = Network.from_proto(source)
    choosing, measuring = _divided(samples, tell)
    stored = _chosen(manifest, source, network, samples=choosing, tell=tell, track=track)
    int8 = Network.from_proto(stored)
    if manifest.dynamic_batch and (reason := hindrance(int8, manifest.crossing)):
        raise InvalidPackage(f"images cannot run together in int8, because the graph {reason}")
    return Variant(
        stored.SerializeToString(deterministic=True),
        _measured(manifest, network, int8, samples=measuring, tell=tell, track=track),
    )


def _divided(samples: Samples, tell: Tell) -> tuple[Samples, Samples]:
    """The pictures that give ranges and choose layers, and those that measure fidelity: others, if there are enough."""
    count = len(samples.pixels)
    if count < _APART:
        tell(f"int8: the {count} pictures that choose its layers also measure it, which flatters it: give {_APART}")
        return samples, samples
    chooses = np.arange(count) // _RUN % _RUNS == 0
    return _part(samples, chooses), _part(samples, ~chooses)


def _part(samples: Samples, wanted: np.ndarray) -> Samples:
    indices = np.flatnonzero(wanted)
    return Samples(samples.pixels[indices], tuple(samples.sizes[index] for index in indices), given=len(indices))


def _chosen(
    manifest: Manifest, source: onnx.ModelProto, network: Network, *, samples: Samples, tell: Tell, track: Track
) -> onnx.ModelProto:
    """The int8 graph."""
    layers = integer_layers(network)
    if not layers:
        raise InvalidPackage("no convolution or matrix product of this network can compute with 8-bit integers")
    calibration = Calibration(network, samples.pixels)
    likeness = likeness_of(manifest, calibration.outputs, samples.sizes)
    means = {(layer.reads, layer.channels) for layer in layers}
    ranges = set(rounded(network, layers).values())
    batches = _batches(network, calibration.images, kept=ranges)
    engine = Engine(threads=usable_cores(), cache_bytes=_CACHE_BYTES)
    seen = observed(engine, network, batches, ranges=ranges, means=means)

    def rewritten(chosen: Sequence[IntegerLayer]) -> onnx.ModelProto:
        return with_integers(source, network, layers=chosen, seen=seen)

    pictures = Pictures(batches=batches, likeness=likeness)
    search = Search(engine, network, pictures=pictures, rewrite=rewritten, tell=tell, track=track)
    choice = search.choose(layers)
    left = [layer.name for layer in layers if layer not in choice.layers]
    tell(f"int8: {len(left)} of {len(layers)} layers are left in fp32: {', '.join(left) or 'none'}")
    return halve_weights(rewritten(choice.layers))


def _batches(network: Network, pixels: np.ndarray, *, kept: Collection[str]) -> list[dict[str, np.ndarray]]:
    """The pixels as inputs of the network, so many at once that the tensors to be `kept` of them fit into memory."""
    (source,) = network.graph.inputs
    fitting = _KEPT_BYTES // sum(network.tensor(name).nbytes for name in kept)
    several = network.inputs[0].shape[0] is None
    together = max(1, min(_BATCH, rows_together(effort(network)), fitting)) if several else 1
    return [{source: pixels[start : start + together]} for start in range(0, len(pixels), together)]


def _measured(
    manifest: Manifest, network: Network, int8: Network, *, samples: Samples, tell: Tell, track: Track
) -> Manifest:
    """The manifest with the figures of all that runs in int8 at least in part."""
    calibration = Calibration(network, samples.pixels, int8=int8)
    likeness = likeness_of(manifest, calibration.outputs, samples.sizes)
    told = msgspec.structs.replace(manifest, precisions=(Precision.FP32, Precision.INT8), cuts=())
    for number, cut in enumerate(track("int8: measuring cuts", manifest.cuts), start=1):
        tell(f"int8: measuring cut {number} of {len(manifest.cuts)} ({cut.name}) on {len(calibration.images)} pictures")
        fp32 = [each for each in cut.codecs if each.in_fp32]
        found = calibration.with_int8(CutSpec(cut.name, cut.head_layers, cut.tensors), likeness)
        with_both = msgspec.structs.replace(cut, codecs=(*fp32, *found))
        told = msgspec.structs.replace(told, cuts=(*told.cuts, with_both))
        _require_alike(told)
    return told


def _require_alike(manifest: Manifest) -> None:
    whole = manifest.whole_int8
    if whole is None or whole.fidelity < _LEAST_PROMISED:
        promised = 0.0 if whole is None else whole.fidelity
        raise InvalidPackage(
            f"in int8 {manifest.name} is promised to answer like itself in fp32 {promised:.1%} of the time only, and "
            f"less than {_LEAST_PROMISED:.0%} is no use: it stays in fp32"
        )
