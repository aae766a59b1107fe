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
_MULTIPLE = re.compile(r"\*\s*(\d+)$")


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """A tensor of the graph. ``shape`` has None where a size depends on the batch; ``nbytes`` is for batch 1."""

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    nbytes: int

    @classmethod
    def of(cls, value: onnx.ValueInfoProto) -> TensorInfo:
        """Read a ``ValueInfoProto``; PartitionError if it states no element type or no rank."""
        kind = value.type.tensor_type
        if not kind.elem_type or not kind.HasField("shape"):
            raise PartitionError(f"tensor {value.name!r} is not a tensor of known type and rank")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        dims = kind.shape.dim
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
        nbytes = prod(map(_at_batch_1, dims)) * dtype.itemsize
        return cls(name=value.name, dtype=dtype, shape=shape, nbytes=nbytes)

    @property
    def stacks(self) -> bool:
        """Whether axis 0 has one entry for each image, and nothing else grows with the images."""
        rest = [size for size in self.shape[1:] if size is not None]
        if self.shape[:1] != (None,) or len(rest) < len(self.shape) - 1:
            return False
        return self.nbytes == prod(rest) * self.dtype.itemsize


def _at_batch_1(dim: onnx.TensorShapeProto.Dimension) -> int:
    if dim.HasField("dim_value"):
        return dim.dim_value
    multiple = _MULTIPLE.search(dim.dim_param)
    return int(multiple[1]) if multiple else 1


def is_annotated(graph: onnx.GraphProto) -> bool:
    """Whether every tensor that a node writes has its type and rank stated."""
    known = {value.name for value in (*graph.value_info, *graph.output) if value.type.tensor_type.HasField("shape")}
    return all(name in known for node in graph.node for name in node.output if name)


def annotate(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that states type and shape of every tensor, with the batch axis named ``batch``.

    Shapes are inferred for two sizes of the batch, since reshapes often lose a symbolic batch. A dimension that is a
    multiple of the batch becomes ``batch*N``. Shapes that the model states itself are kept only behind control flow,
    since those of a loop cannot be inferred. PartitionError if it fails.
    """
    two, three = _inferred(model, 2), _inferred(model, 3)
    annotated = onnx.ModelProto()
    annotated.CopyFrom(model)
    graph = annotated.graph
    for value in (*graph.input, *graph.output):
        if value.name in two:
            value.CopyFrom(_merged(two[value.name], three[value.name]))
    ports = {value.name for value in (*graph.input, *graph.output)}
    written = (name for node in graph.node for name in node.output if name and name not in ports)
    inner = [_merged(_known(two, name), _known(three, name)) for name in written]
    del graph.value_info[:]
    graph.value_info.extend(inner)
    return annotated


def _inferred(model: onnx.ModelProto, batch: int) -> dict[str, onnx.ValueInfoProto]:
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    stated = [value for value in model.graph.value_info if value.name in _behind_control_flow(model.graph)]
    del sized.graph.value_info[:]
    sized.graph.value_info.extend(stated)
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
    if name not in values or not values[name].type.tensor_type.HasField("shape"):
        raise PartitionError(f"the shape of tensor {name!r} cannot be inferred")
    return values[name]


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
