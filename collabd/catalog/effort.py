"""Whether running a graph takes a bounded amount of memory and work, found out without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx

from collab_sdk.errors import InvalidPackage
from collabd.codec import MAX_BYTES
from collabd.partition import Graph, Network, PartitionError, TensorInfo, annotate, layers

# Of one run, be it of one image or of several together. An EfficientNet-B7 at 600x600 has 0.2 GB alive at once, and so
# has a ViT-H/14 at 518x518, by its attention.
_MOST_BYTES = 2**30
# A ViT-H/14 at 518x518 has 1.02e12, a VGG-19 a fiftieth of that. A core does 10 to 100 thousand million a second, and
# whoever else asks meanwhile waits for one run.
_MOST_MACS = 1_200_000_000_000
# The widest that a stored weight becomes: 4 bits as float32.
_WIDENING = 8
# Shapes are computed from the values of smaller weights; of larger ones only the shape matters, and copies cost.
_SHAPES_BYTES = 4096
_BATCH = re.compile(r"batch(\*\d+)?")


@dataclass(frozen=True)
class Effort:
    """What one image takes: multiply-accumulates, and the most bytes of its tensors that are alive at once."""

    macs: int
    nbytes: int


def effort(network: Network) -> Effort:
    """What an image takes in the whole of `network`; a part of it takes no more."""
    used = network.graph.last_use.keys() - network.graph.constants
    sizes = {name: network.tensor(name).nbytes for name in used}
    return Effort(sum(layer.macs for layer in layers(network)), _peak(network.graph, sizes))


def rows_together(one: Effort) -> int:
    """How many images, each of this effort, may run together; at least 1."""
    return max(1, min(_MOST_BYTES // max(1, one.nbytes), _MOST_MACS // max(1, one.macs)))


def require_bounded(model: onnx.ModelProto) -> Network:
    """The network of `model`, whose weights lie inside. Raises `InvalidPackage` if what it takes is not bounded.

    Every shape must follow from the graph alone: an operator whose result is as large as the values it is given say
    (NonZero, Range, a computed Expand) could take all memory. The shapes are inferred anew, for a sender may state
    what it likes, and must be those that the graph states. Counted is what a run holds: the weights once, and of all
    else what is alive at the same time.
    """
    try:
        annotated = annotate(_without_statements(model))
        found = {value.name: _measured(value) for value in _values(annotated)}
        for value in _values(model):
            if value.name in found and TensorInfo.of(value) != found[value.name]:
                raise InvalidPackage(f"the graph states one shape for {value.name[:80]!r} and computes another")
        for fault in _too_large(model, {name: info.nbytes for name, info in found.items()}):
            raise InvalidPackage(fault)
        network = Network(model)
    except PartitionError as error:
        raise InvalidPackage(str(error)) from error
    if (macs := effort(network).macs) > _MOST_MACS:
        raise InvalidPackage(f"an answer takes {macs:.2g} multiply-accumulates, more than {_MOST_MACS:.2g}")
    return network


def _too_large(model: onnx.ModelProto, sizes: Mapping[str, int]) -> Iterator[str]:
    weights = [weight.name for weight in model.graph.initializer]
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    graph = Graph(model.graph.node, inputs, [value.name for value in model.graph.output], weights)
    # What is computed from weights alone is held as one of them, widened at the most.
    widened = MAX_BYTES + _WIDENING * model.ByteSize()
    for name, nbytes in sizes.items():
        if nbytes > (most := widened if name in graph.constants else MAX_BYTES):
            yield f"tensor {name[:80]!r} takes {nbytes} bytes, more than {most}"
    if (total := sum(sizes[name] for name in graph.constants.intersection(sizes))) > widened:
        yield f"the tensors computed from weights alone take {total} bytes, more than {widened}"
    if (peak := _peak(graph, sizes)) > _MOST_BYTES:
        yield f"the tensors alive at once for one image take {peak} bytes, more than {_MOST_BYTES}"


def _peak(graph: Graph, sizes: Mapping[str, int]) -> int:
    """The most bytes alive at once for one image, when each tensor goes after its last use; weights do not count."""
    alive = {name: sizes.get(name, 0) for name in graph.inputs}
    held = most = sum(alive.values())
    for index, (reads, writes) in enumerate(zip(graph.reads, graph.writes, strict=True)):
        made = {name: sizes.get(name, 0) for name in writes if name not in graph.constants}
        alive |= made
        held += sum(made.values())
        most = max(most, held)
        over = [name for name in {*reads, *made} if name in alive and graph.last_use.get(name, -1) <= index]
        held -= sum(alive.pop(name) for name in over)
    return most


def unfollowed(model: onnx.ModelProto) -> str | None:
    """A tensor of the annotated `model` whose size does not follow from the graph and the size of the batch alone."""
    return next((value.name for value in _values(model) if not _is_followed(value)), None)


def _measured(value: onnx.ValueInfoProto) -> TensorInfo:
    if not _is_followed(value):
        raise InvalidPackage(f"the size of {value.name[:80]!r} does not follow from the graph alone")
    return TensorInfo.of(value)


def _is_followed(value: onnx.ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return all(dim.HasField("dim_value") or _BATCH.fullmatch(dim.dim_param) for dim in dims)


def _values(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, ...]:
    return (*model.graph.input, *model.graph.output, *model.graph.value_info)


def _without_statements(model: onnx.ModelProto) -> onnx.ModelProto:
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.CopyFrom(onnx.GraphProto(name="graph", input=model.graph.input, output=model.graph.output))
    bare.graph.node.extend(model.graph.node)
    for weight in model.graph.initializer:
        shaped = onnx.TensorProto(name=weight.name, dims=weight.dims, data_type=weight.data_type)
        bare.graph.initializer.append(weight if prod(weight.dims) <= _SHAPES_BYTES else shaped)
    return bare
