"""A part of a network, in the form that the engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from .graph import nested_graphs

# Smaller constants stay in the graph, since the runtime reads shapes and scalars while it optimises.
_INLINE_BYTES = 1024


@dataclass(frozen=True)
class Subgraph:
    """A part of a network, ready to run.

    ``model`` is a serialised ONNX model. ``constants`` are initializers that it declares as external data, without a
    file; they are float32 unless the network stores them otherwise. It is ``flat`` if it has no nested graphs.
    """

    model: bytes
    constants: Mapping[str, np.ndarray]
    flat: bool


def assemble(graph: onnx.GraphProto, frame: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> Subgraph:
    """Join nodes, inputs and outputs (`graph`) with versions (`frame`) and the weights that they use."""
    external = {name: array for name, array in weights.items() if _is_external(array)}
    model = onnx.ModelProto()
    model.CopyFrom(frame)
    model.graph.CopyFrom(graph)
    model.graph.initializer.extend(_declared(name, array) for name, array in external.items())
    model.graph.initializer.extend(_inline(weights, weights.keys() - external.keys()))
    return Subgraph(model.SerializeToString(), external, flat=not any(map(nested_graphs, graph.node)))


def _is_external(array: np.ndarray) -> bool:
    """Whether an array is large, and of a type that numpy itself has: the runtime takes no others by reference."""
    return array.nbytes > _INLINE_BYTES and array.dtype.kind in "fiu"


def _declared(name: str, array: np.ndarray) -> onnx.TensorProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=kind)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="memory")
    return tensor


def _inline(weights: Mapping[str, np.ndarray], names: Iterable[str]) -> list[onnx.TensorProto]:
    return [onnx.numpy_helper.from_array(weights[name], name) for name in sorted(names)]
