"""What can be wrong with a manifest, by itself and against its graph. Every fault is listed, not only the first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from collab_sdk.vocabulary import Precision, ScoreKind
from collabd.catalog.package.cut_rules import codecs_at, first_cut
from collabd.catalog.package.little import little_faults
from collabd.catalog.package.manifest import CodecFigures, Cut, Manifest, Port
from collabd.catalog.package.task_faults import task_faults

if TYPE_CHECKING:
    from collabd.partition import Network, TensorInfo

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_SIDE = 8192
_DTYPES = frozenset(
    {"bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)


def inconsistencies(manifest: Manifest) -> list[str]:
    """Faults of the manifest alone; empty if it is sound."""
    return [
        *_naming(manifest.name, "name"),
        *_picture(manifest),
        *_ports(manifest),
        *task_faults(manifest),
        *_precisions(manifest),
        *_layers(manifest),
        *_cuts(manifest),
        *_little(manifest),
    ]


def misfits(manifest: Manifest, network: Network) -> list[str]:
    """Faults of the manifest against its graph; empty if they fit. Raises `PartitionError` if a tensor is unknown."""
    for layer in manifest.layers:
        for name in layer.tensors:
            network.tensor(name)
    return [*_ends("reads", manifest.inputs, network.inputs), *_ends("gives", manifest.outputs, network.outputs)]


def twin_misfits(manifest: Manifest, network: Network, twin: Network) -> list[str]:
    """Where `twin`, the package's graph in another precision, has other tensors at its ends or cuts than `network`.

    Empty if a head of either can be joined with a tail of either. Raises `PartitionError` if a tensor is unknown.
    """
    names = (name for name in manifest.crossing if name not in {*manifest.input_names, *manifest.output_names})
    pairs = ((network.tensor(name), twin.tensor(name)) for name in names)
    return [
        *_ends("reads", manifest.inputs, twin.inputs),
        *_ends("gives", manifest.outputs, twin.outputs),
        *(
            f"at a cut it has {_port_of(found)}, and the fp32 graph has {_port_of(wanted)}"
            for wanted, found in pairs
            if (wanted.dtype, wanted.shape) != (found.dtype, found.shape)
        ),
        *(
            f"at cut {cut.name} it needs other tensors than the fp32 graph"
            for cut in manifest.cuts
            if _needs(manifest, cut, network) != _needs(manifest, cut, twin)
        ),
    ]


def _needs(manifest: Manifest, cut: Cut, network: Network) -> tuple[tuple[str, ...], ...]:
    """The inputs that the head of a cut needs, and the tensors that its tail does."""
    made = [name for name in cut.tensors if name not in manifest.input_names]
    behind = [name for name in manifest.output_names if name not in cut.tensors]
    return network.needed(manifest.input_names, made), network.needed(cut.tensors, behind)


def _naming(name: str, what: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{what} {name[:80]!r} is not 1 to 64 letters, digits, '.', '_' or '-'"


def _picture(manifest: Manifest) -> Iterator[str]:
    wanted = manifest.picture
    if wanted is None:
        return
    if not (1 <= wanted.height <= _MAX_SIDE and 1 <= wanted.width <= _MAX_SIDE):
        yield f"the input of {wanted.height} x {wanted.width} pixels has a side outside 1 to {_MAX_SIDE}"
    shorter = wanted.resize_shorter
    if (shorter is not None) != (wanted.rule == "crop"):
        yield f"resize_shorter is {shorter}, and the rule is {wanted.rule}: it belongs to the rule crop, which needs it"
    elif shorter is not None and not max(wanted.height, wanted.width) <= shorter <= _MAX_SIDE:
        yield f"resize_shorter {shorter} is not between the larger side of the input and {_MAX_SIDE}"
    if not 0 <= wanted.pad <= 255:
        yield f"pad {wanted.pad} is no grey from 0 to 255"


def _ports(manifest: Manifest) -> Iterator[str]:
    for kind, ports in (("input", manifest.inputs), ("output", manifest.outputs)):
        if not ports:
            yield f"there are no {kind}s"
        for port in ports:
            yield from _port(f"the {kind} {port}", port, dynamic_batch=manifest.dynamic_batch)
    yield from _repeated("tensor", (*manifest.input_names, *manifest.output_names))
    if manifest.answer_bytes is not None and manifest.answer_bytes < 0:
        yield f"answer_bytes {manifest.answer_bytes} is below 0"


def _port(which: str, port: Port, *, dynamic_batch: bool) -> Iterator[str]:
    if port.dtype not in _DTYPES:
        yield f"{which} is of none of the types {', '.join(sorted(_DTYPES))}"
    if None in port.shape[1:] or (port.shape[:1] == (None,)) != dynamic_batch:
        wanted = "the batch must be its first axis, and no other size may be open"
        fixed = "all its sizes must be fixed"
        yield f"{which} does not fit dynamic_batch {str(dynamic_batch).lower()}: {wanted if dynamic_batch else fixed}"
    if any(size is not None and size < 1 for size in port.shape):
        yield f"{which} has a size below 1"


def _precisions(manifest: Manifest) -> Iterator[str]:
    yield from _repeated("precision", manifest.precisions)
    if manifest.precisions[:1] != (Precision.FP32,):
        yield f"the first precision is not {Precision.FP32}: {_listed(manifest.precisions)}"
    if made := [each for each in manifest.precisions if each.is_reduced]:
        yield f"no graph is in {_listed(made)}: companions make that of the fp32 graph"


def _layers(manifest: Manifest) -> Iterator[str]:
    if not manifest.layers:
        yield "there are no layers"
        return
    yield from _repeated("layer", (layer.name for layer in manifest.layers))
    yield from (f"layer {layer.name} has no tensors behind it" for layer in manifest.layers if not layer.tensors)
    last = manifest.layers[-1].tensors
    if {*last} != {*manifest.output_names}:
        yield f"the last layer leaves {_listed(last)}, not the outputs {_listed(manifest.output_names)}"


def _cuts(manifest: Manifest) -> Iterator[str]:
    cuts, name = manifest.cuts, first_cut(manifest.picture)
    if not cuts or (cuts[0].name, cuts[0].head_layers, cuts[0].tensors) != (name, 0, manifest.input_names):
        yield f"the first cut must be {name!r}, with no layers before it and the inputs as its only tensors"
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
    allowed = codecs_at(cut.head_layers, manifest.picture)
    kinds = (f"{figures.codec} {figures.head}/{figures.tail}" for figures in cut.codecs)
    yield from _repeated(f"codec of cut {cut.name}", kinds)
    if not any(figures.is_exact for figures in cut.codecs):
        yield f"cut {cut.name} has no lossless codec in {Precision.FP32}"
    for figures in cut.codecs:
        if unknown := {figures.head, figures.tail}.difference(manifest.precisions):
            yield f"cut {cut.name} has figures for {_listed(sorted(unknown))}, of which the package has no graph"
        if not cut.head_layers and figures.head != Precision.FP32:
            yield f"cut {cut.name} has a head in {figures.head}, but no layers before it"
        if figures.codec not in allowed:
            yield f"cut {cut.name} has codec {figures.codec[:40]!r}, not one of {', '.join(allowed)}"
        if not _plausible(figures):
            yield f"cut {cut.name} has impossible figures for codec {figures.codec[:40]}"


def _plausible(figures: CodecFigures) -> bool:
    stated, change = figures.agreement, figures.largest_change
    if stated is None:
        told = figures.is_exact if change is None else 0 <= change <= 1
    else:
        told = change is None and stated.adds_up
    return told and 0 <= (figures.mean_iou or 0.0) <= 1 and 0 <= figures.bytes_median <= figures.bytes_p95


def _little(manifest: Manifest) -> Iterator[str]:
    little = manifest.little
    if little is None:
        return
    yield from _naming(little.package, "the name of the little network")
    if little.package == manifest.name:
        yield "the network is its own little network"
    if manifest.picture is None or manifest.output_kind in (None, ScoreKind.INDEPENDENT):
        yield "only classifiers of pictures with one right label may have a little network"
    yield from little_faults(little)


def _repeated(kind: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{kind} {name} occurs twice"
        seen.add(name)


def _ends(does: str, stated: Sequence[Port], found: Sequence[TensorInfo]) -> Iterator[str]:
    there = tuple(map(_port_of, found))
    if there != stated:
        yield f"the graph {does} {_listed(map(str, there))}, but the package says {_listed(map(str, stated))}"


def _port_of(info: TensorInfo) -> Port:
    return Port(info.name, info.dtype.name, info.shape)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
