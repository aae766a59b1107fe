"""What can be wrong with a manifest, by itself and against its graph. Every fault is listed, not only the first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from collabd.catalog.package.manifest import Agreement, CodecFigures, Cut, Manifest
from collabd.codec import FEATURE_CODECS, IMAGE_CODECS, LOSSLESS

if TYPE_CHECKING:
    from collabd.partition import Network, TensorInfo

IMAGE = "image"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_SIDE = 8192


def inconsistencies(manifest: Manifest) -> list[str]:
    """Faults of the manifest alone; empty if it is sound."""
    return [*_naming(manifest), *_preprocessing(manifest), *_layers(manifest), *_cuts(manifest)]


def misfits(manifest: Manifest, network: Network) -> list[str]:
    """Faults of the manifest against its graph; empty if they fit. Raises `PartitionError` if a tensor is unknown."""
    for layer in manifest.layers:
        for name in layer.tensors:
            network.tensor(name)
    return [*_ends(manifest, network)]


def _naming(manifest: Manifest) -> Iterator[str]:
    if not _NAME.fullmatch(manifest.name):
        yield f"name {manifest.name[:80]!r} is not 1 to 64 letters, digits, '.', '_' or '-'"
    if not manifest.labels:
        yield "there are no labels"


def _preprocessing(manifest: Manifest) -> Iterator[str]:
    wanted = manifest.preprocessing
    if not (1 <= wanted.height <= _MAX_SIDE and 1 <= wanted.width <= _MAX_SIDE):
        yield f"the input of {wanted.height} x {wanted.width} pixels has a side outside 1 to {_MAX_SIDE}"
    shorter = wanted.resize_shorter
    if shorter is not None and not max(wanted.height, wanted.width) <= shorter <= _MAX_SIDE:
        yield f"resize_shorter {shorter} is not between the larger side of the input and {_MAX_SIDE}"


def _layers(manifest: Manifest) -> Iterator[str]:
    if not manifest.layers:
        yield "there are no layers"
        return
    yield from _repeated("layer", (layer.name for layer in manifest.layers))
    yield from (f"layer {layer.name} has no tensors behind it" for layer in manifest.layers if not layer.tensors)
    if manifest.layers[-1].tensors != (manifest.output,):
        yield f"the last layer leaves {manifest.layers[-1].tensors}, not the output {manifest.output}"


def _cuts(manifest: Manifest) -> Iterator[str]:
    cuts = manifest.cuts
    if not cuts or (cuts[0].name, cuts[0].head_layers, cuts[0].tensors) != (IMAGE, 0, (manifest.input,)):
        yield f"the first cut must be {IMAGE!r}, with no layers before it and the input as its only tensor"
        return
    yield from _repeated("cut", (cut.name for cut in cuts))
    depths = [cut.head_layers for cut in cuts]
    if depths != sorted(set(depths)) or depths[-1] >= len(manifest.layers):
        yield f"the cuts' head_layers {depths} do not increase within 0 to {len(manifest.layers) - 1}"
        return
    for cut in cuts:
        yield from _cut(manifest, cut)


def _cut(manifest: Manifest, cut: Cut) -> Iterator[str]:
    if cut.head_layers and cut.tensors != manifest.layers[cut.head_layers - 1].tensors:
        yield f"cut {cut.name} and layer {manifest.layers[cut.head_layers - 1].name} name different tensors"
    allowed = FEATURE_CODECS if cut.head_layers else IMAGE_CODECS
    yield from _repeated(f"codec of cut {cut.name}", (figures.codec for figures in cut.codecs))
    for figures in cut.codecs:
        if figures.codec not in allowed:
            yield f"cut {cut.name} has codec {figures.codec[:40]!r}, not one of {', '.join(allowed)}"
        if not _plausible(figures):
            yield f"cut {cut.name} has impossible figures for codec {figures.codec[:40]}"


def _plausible(figures: CodecFigures) -> bool:
    stated = figures.agreement
    agreement = figures.codec in LOSSLESS if stated is None else _adds_up(stated)
    return agreement and 0 <= figures.bytes_median <= figures.bytes_p95


def _adds_up(stated: Agreement) -> bool:
    return 0 <= stated.agreed <= stated.images and 0 <= stated.sure_agreed <= stated.sure_images <= stated.images


def _repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{kind} {name} occurs twice"
        seen.add(name)


def _ends(manifest: Manifest, network: Network) -> Iterator[str]:
    batch = None if manifest.dynamic_batch else 1
    wanted = manifest.preprocessing
    yield from _end(network.inputs, manifest.input, dtype=np.uint8, shape=(batch, wanted.height, wanted.width, 3))
    yield from _end(network.outputs, manifest.output, dtype=np.float32, shape=(batch, len(manifest.labels)))


def _end(
    found: Sequence[TensorInfo], name: str, *, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> Iterator[str]:
    if [(tensor.name, tensor.dtype, tensor.shape) for tensor in found] != [(name, np.dtype(dtype), shape)]:
        described = ", ".join(f"{tensor.name} {tensor.dtype}{list(tensor.shape)}" for tensor in found)
        yield f"the graph has {described}, but must have only {name} {np.dtype(dtype)}{list(shape)}"
