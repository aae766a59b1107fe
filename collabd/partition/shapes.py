"""The element type and shape of every tensor, as stated by the ``value_info`` of the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from .errors import PartitionError

BATCH = "batch"
_MULTIPLE = re.compile(rf"{BATCH}\*(\d+)")
# What a tensor counts whose size follows from neither the graph nor the batch: more than any other. So it is alive for
# as short as possible, and no cut is worth it.
UNKNOWN_BYTES = 1 << 50
# Shapes may be computed from the values of a weight of up to so many elements.
_MOST_READ = 4096


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """A tensor of the graph. ``shape`` has None where a size depends on the batch, or on what the network computes.

    ``nbytes`` is for batch 1, and `UNKNOWN_BYTES` if a size depends on what the network computes. Where not even the
    rank is known, and of what is no tensor (a sequence), ``shape`` is empty too, and ``dtype`` may be ``object``.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    nbytes: int

    @classmethod
    def of(cls, value: onnx.ValueInfoProto) -> TensorInfo:
        """Read a ``ValueInfoProto``."""
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else np.dtype(object)
        if not kind.elem_type or not kind.HasField("shape"):
            return cls(name=value.name, dtype=dtype, shape=(), nbytes=UNKNOWN_BYTES)
        dims = kind.shape.dim
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
        sizes = [_at_batch_1(dim) for dim in dims]
        nbytes = UNKNOWN_BYTES if None in sizes else prod(size or 0 for size in sizes) * dtype.itemsize
        return cls(name=value.name, dtype=dtype, shape=shape, nbytes=nbytes)

    @property
    def is_sized(self) -> bool:
        """Whether its size follows from the graph and the batch alone."""
        return self.nbytes < UNKNOWN_BYTES

    @property
    def has_rank(self) -> bool:
        """Whether its rank is known. What has none cannot be sent, nor can what is no tensor."""
        return self.is_sized or bool(self.shape)

    @property
    def stacks(self) -> bool:
        """Whether axis 0 has one entry for each image, and nothing else grows with the images."""
        rest = [size for size in self.shape[1:] if size is not None]
        if self.shape[:1] != (None,) or len(rest) < len(self.shape) - 1:
            return False
        return self.nbytes == prod(rest) * self.dtype.itemsize


def _at_batch_1(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    if dim.HasField("dim_value"):
        return dim.dim_value
    if dim.dim_param == BATCH:
        return 1
    multiple = _MULTIPLE.fullmatch(dim.dim_param)
    return int(multiple[1]) if multiple else None


def is_annotated(graph: onnx.GraphProto) -> bool:
    """Whether something is stated of every tensor that a node writes, and the rank of every output."""
    known = {value.name for value in graph.value_info}
    known |= {value.name for value in graph.output if value.type.tensor_type.HasField("shape")}
    return all(name in known for node in graph.node for name in node.output if name)


def annotate(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that states type and shape of every tensor, with the batch axis named ``batch``.

    Shapes are inferred for two sizes of the batch, since reshapes often lose a symbolic batch. A dimension that is a
    multiple of the batch becomes ``batch*N``. A tensor whose rank cannot be inferred states none, unless it is an
    output. Shapes that the model states itself are kept only behind control flow, since those of a loop cannot be
    inferred. PartitionError if it fails.
    """
    frame = frame_of(model)
    two, three = _inferred(frame, 2), _inferred(frame, 3)
    annotated = onnx.ModelProto()
    annotated.CopyFrom(model)
    graph = annotated.graph
    for value in (*graph.input, *graph.output):
        if value.name in two:
            value.CopyFrom(_merged(two[value.name], three[value.name]))
        if not value.type.tensor_type.HasField("shape"):
            raise PartitionError(f"the shape of tensor {value.name!r} cannot be inferred")
    ports = {value.name for value in (*graph.input, *graph.output)}
    written = (name for node in graph.node for name in node.output if name and name not in ports)
    inner = [_merged(_known(two, name), _known(three, name)) for name in written]
    del graph.value_info[:]
    graph.value_info.extend(inner)
    return annotated


def frame_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """All of `model` from which shapes follow: without the values of large weights, and without stated shapes.

    Shape inference copies what it is given several times.
    """
    frame = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = model.graph
    stated = _behind_control_flow(graph)
    frame.graph.CopyFrom(onnx.GraphProto(name=graph.name, node=graph.node, input=graph.input, output=graph.output))
    frame.graph.sparse_initializer.extend(graph.sparse_initializer)
    frame.graph.value_info.extend(value for value in graph.value_info if value.name in stated)
    frame.graph.initializer.extend(map(_without_many_values, graph.initializer))
    return frame


def _without_many_values(weight: onnx.TensorProto) -> onnx.TensorProto:
    if prod(weight.dims) <= _MOST_READ:
        return weight
    return onnx.TensorProto(name=weight.name, dims=weight.dims, data_type=weight.data_type)


def _inferred(frame: onnx.ModelProto, batch: int) -> dict[str, onnx.ValueInfoProto]:
    sized = onnx.ModelProto()
    sized.CopyFrom(frame)
    weights = {tensor.name for tensor in sized.graph.initializer}
    for value in sized.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in weights and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = batch
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(sized, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise PartitionError(f"the types and shapes in this graph contradict one another: {error}") from error
    return {value.name: value for value in (*graph.input, *graph.output, *graph.value_info)}


def _behind_control_flow(graph: onnx.GraphProto) -> set[str]:
    flows = (node for node in graph.node if any(each.graphs or each.HasField("g") for each in node.attribute))
    return {name for node in flows for name in node.output}


def _known(values: Mapping[str, onnx.ValueInfoProto], name: str) -> onnx.ValueInfoProto:
    return values.get(name) or onnx.ValueInfoProto(name=name)


def _merged(two: onnx.ValueInfoProto, three: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """One shape from those inferred at batch 2 and 3: equal sizes are fixed, the others follow the batch."""
    merged = onnx.ValueInfoProto()
    merged.CopyFrom(two)
    pairs = zip(merged.type.tensor_type.shape.dim, three.type.tensor_type.shape.dim, strict=True)
    for axis, (dim, other) in enumerate(pairs):
        multiple = other.dim_value - dim.dim_value
        if not dim.HasField("dim_value") or not other.HasField("dim_value"):
            dim.dim_param = f"{merged.name}.{axis}"
        elif multiple == 1:
            dim.dim_param = BATCH
        elif multiple:
            dim.dim_param = f"{BATCH}*{multiple}"
    return merged
