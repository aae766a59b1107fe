"""Whether running a graph takes a bounded amount of memory and work, found out without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod

import onnx

from collab_sdk.errors import InvalidPackage
from collabd.codec import MAX_BYTES
from collabd.partition import Network, PartitionError, TensorInfo, annotate, layers

# For one image. All tensors of a DenseNet-201 are 0.2 GB together, those of a U-Net on 512x512 pixels 0.6 GB.
_MOST_BYTES = 2**30
# Ten times a VGG-19. A core does 10 to 100 thousand million a second.
_MOST_MACS = 200_000_000_000
# Shapes are computed from the values of smaller weights; of larger ones only the shape matters, and copies cost.
_SHAPES_BYTES = 4096
_BATCH = re.compile(r"batch(\*\d+)?")


def require_bounded(model: onnx.ModelProto) -> Network:
    """The network of `model`, whose weights lie inside. Raises `InvalidPackage` if what it takes is not bounded.

    Every shape must follow from the graph alone: an operator whose result is as large as the values it is given say
    (NonZero, Range, a computed Expand) could take all memory. The shapes are inferred anew, for a sender may state
    what it likes, and must be those that the graph states.
    """
    try:
        annotated = annotate(_without_statements(model))
        found = {value.name: _measured(value) for value in _values(annotated)}
        for value in _values(model):
            if value.name in found and TensorInfo.of(value) != found[value.name]:
                raise InvalidPackage(f"the graph states another shape for {value.name[:80]!r} than it computes")
        for fault in _too_large(found):
            raise InvalidPackage(fault)
        network = Network(model)
    except PartitionError as error:
        raise InvalidPackage(str(error)) from error
    if (macs := sum(layer.macs for layer in layers(network))) > _MOST_MACS:
        raise InvalidPackage(f"an answer takes {macs:.2g} multiply-accumulates, above {_MOST_MACS:.0g}")
    return network


def _too_large(found: dict[str, TensorInfo]) -> Iterator[str]:
    for tensor in found.values():
        if tensor.nbytes > MAX_BYTES:
            yield f"tensor {tensor.name[:80]!r} takes {tensor.nbytes} bytes for one image, above {MAX_BYTES}"
    if (total := sum(tensor.nbytes for tensor in found.values())) > _MOST_BYTES:
        yield f"the tensors for one image take {total} bytes, above {_MOST_BYTES}"


def _measured(value: onnx.ValueInfoProto) -> TensorInfo:
    for dim in value.type.tensor_type.shape.dim:
        if not dim.HasField("dim_value") and not _BATCH.fullmatch(dim.dim_param):
            raise InvalidPackage(f"the size of {value.name[:80]!r} does not follow from the graph alone")
    return TensorInfo.of(value)


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
