"""How much memory and work a graph takes, and whether they are bounded, found out without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx

from collab_sdk.errors import InvalidPackage
from collabd.codec import MAX_BYTES
from collabd.partition import Graph, Network, PartitionError, TensorInfo, annotate, frame_of, layers

# The most bytes alive at once in one run, of one image or of several. An EfficientNet-B7 at 600x600 has 0.2 GB, and so
# has a ViT-H/14 at 518x518, by its attention.
_MOST_BYTES = 2**30
# The most multiply-accumulates of one run. A ViT-H/14 at 518x518 has 1.02e12, a VGG-19 a fiftieth of that. A core does
# 1e10 to 1e11 in a second, and all other requests wait for the run.
_MOST_MACS = 1_200_000_000_000
# A stored weight grows so many times at most: from 4 bits to float32.
_WIDENING = 8
_BATCH = re.compile(r"batch(\*\d+)?")


@dataclass(frozen=True)
class Effort:
    """What one image takes: multiply-accumulates, and the most bytes of its tensors that are alive at once."""

    macs: int
    nbytes: int


def effort(network: Network) -> Effort:
    """What one image takes in the whole of `network`; it takes no more in a part of it."""
    used = network.graph.last_use.keys() - network.graph.constants
    sizes = {name: network.tensor(name).nbytes for name in used}
    return Effort(sum(layer.macs for layer in layers(network)), _peak(network.graph, sizes))


def rows_together(one: Effort) -> int:
    """How many images, each of this effort, may run together; at least 1."""
    return max(1, min(_MOST_BYTES // max(1, one.nbytes), _MOST_MACS // max(1, one.macs)))


def require_bounded(model: onnx.ModelProto) -> Network:
    """The network of `model`, whose weights lie inside. Raises `InvalidPackage` if its effort is not bounded.

    Every shape must follow from the graph alone: an operator could take all memory if the values that it reads decide
    how large its result is (NonZero, Range, a computed Expand). The shapes are inferred anew, because a sender may
    state what it likes, and must be those that the graph states. Counted are the bytes that a run holds: all weights
    once, and of the other tensors those that are alive at the same time.
    """
    try:
        frame = frame_of(model)
        del frame.graph.value_info[:]
        annotated = annotate(frame)
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
    outputs = [value.name for value in model.graph.output]
    graph = Graph(model.graph.node, inputs=inputs, outputs=outputs, weights=weights)
    # A tensor that is computed from weights alone is held like a weight. It may be as large as all weights widened.
    widened = MAX_BYTES + _WIDENING * model.ByteSize()
    for name, nbytes in sizes.items():
        if nbytes > (most := widened if name in graph.constants else MAX_BYTES):
            yield f"tensor {name[:80]!r} takes {nbytes} bytes, more than {most}"
    if (total := sum(sizes[name] for name in graph.constants.intersection(sizes))) > widened:
        yield f"the tensors computed from weights alone take {total} bytes, more than {widened}"
    if (peak := _peak(graph, sizes)) > _MOST_BYTES:
        yield f"the tensors alive at once for one image take {peak} bytes, more than {_MOST_BYTES}"


def _peak(graph: Graph, sizes: Mapping[str, int]) -> int:
    """The most bytes alive at once for one image if each tensor is freed after its last use. Weights do not count."""
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
    return next((value.name for value in _values(model) if not is_followed(value)), None)


def _measured(value: onnx.ValueInfoProto) -> TensorInfo:
    if not is_followed(value):
        raise InvalidPackage(f"the size of {value.name[:80]!r} does not follow from the graph alone")
    return TensorInfo.of(value)


def is_followed(value: onnx.ValueInfoProto) -> bool:
    """Whether the size of an annotated tensor follows from the graph and the size of the batch alone."""
    kind = value.type.tensor_type
    dims = kind.shape.dim
    return kind.HasField("shape") and all(dim.HasField("dim_value") or _BATCH.fullmatch(dim.dim_param) for dim in dims)


def _values(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, ...]:
    return (*model.graph.input, *model.graph.output, *model.graph.value_info)
