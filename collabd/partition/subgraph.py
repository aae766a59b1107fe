"""A part of a network, in the form that the engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

# Smaller constants stay in the graph, since the runtime reads shapes and scalars while it optimises.
_INLINE_BYTES = 1024

# Larger weights become inputs of the graph. The runtime packs constants anew for every session, which doubles their
# memory, but reads inputs where they are. Small constants run faster if packed. At a bound of 4 MiB a session of VGG16
# holds 9 of its 61 MB and is 10 % faster than with all packed; ResNet-18 and -50 lose at most 7 %, the others nothing.
# At 1 MiB ResNet-50 loses 15 %, at 0.1 MiB EfficientNet-Lite0 loses 40 % (x86-64, batch 1 and 8).
_PACKED_BYTES = 4 << 20


@dataclass(frozen=True)
class Subgraph:
    """A part of a network, ready to run.

    ``model`` is a serialised ONNX model. ``constants`` are initializers that it declares as external data, without a
    file. ``weights`` are inputs of the model that never change, each the network's own array. Both are by name, and are
    float32 unless the network stores them otherwise.
    """

    model: bytes
    constants: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def assemble(graph: onnx.GraphProto, frame: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> Subgraph:
    """Join nodes, inputs and outputs (`graph`) with versions (`frame`) and the weights that they use."""
    shared = {name: array for name, array in weights.items() if _is_float(array) and array.nbytes > _PACKED_BYTES}
    packed = {name: array for name, array in weights.items() if name not in shared and _is_external(array)}
    model = onnx.ModelProto()
    model.CopyFrom(frame)
    model.graph.CopyFrom(graph)
    model.graph.input.extend(_as_input(name, array) for name, array in shared.items())
    model.graph.initializer.extend(_declared(name, array) for name, array in packed.items())
    model.graph.initializer.extend(_inline(weights, weights.keys() - shared.keys() - packed.keys()))
    return Subgraph(model.SerializeToString(), packed, shared)


def _is_float(array: np.ndarray) -> bool:
    """Whether weights may be inputs. Quantised ones must be constants, else their dequantisation is not fused."""
    return array.dtype == np.float32


def _is_external(array: np.ndarray) -> bool:
    """Whether an array is large, and of a type that numpy itself has: the runtime takes no others by reference."""
    return array.nbytes > _INLINE_BYTES and array.dtype.kind in "fiu"


def _as_input(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)


def _declared(name: str, array: np.ndarray) -> onnx.TensorProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=kind)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="memory")
    return tensor


def _inline(weights: Mapping[str, np.ndarray], names: Iterable[str]) -> list[onnx.TensorProto]:
    return [onnx.numpy_helper.from_array(weights[name], name) for name in sorted(names)]
