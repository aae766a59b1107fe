"""The constants of a graph, as numpy arrays of which each is held once."""

from __future__ import annotations

import numpy as np
import onnx

from .errors import PartitionError
from .graph import reads_of


def take_weights(graph: onnx.GraphProto) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """The initializers of `graph` by name, and its nodes without those that only widen a stored weight.

    Packages store weights as fp16, each with a Cast to float behind it. Such a weight becomes one float32 array here,
    named as the output of the Cast, so that neither a session nor this process holds it in two widths.
    """
    if graph.sparse_initializer:
        raise PartitionError("sparse weights are not supported; store them dense")
    stored = {tensor.name: tensor for tensor in graph.initializer}
    folded = {node.output[0]: node.input[0] for node in graph.node if _widens(node, stored)}
    nodes = [node for node in graph.node if node.output[0] not in folded]
    still_read = {name for node in nodes for name in reads_of(node)} | {value.name for value in graph.output}
    halves = set(folded.values()) - still_read
    weights = {name: onnx.numpy_helper.to_array(tensor) for name, tensor in stored.items() if name not in halves}
    for name, half in folded.items():
        weights[name] = onnx.numpy_helper.to_array(stored[half]).astype(np.float32)
    return weights, nodes


def _widens(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    return (
        node.op_type == "Cast"
        and node.input[0] in stored
        and stored[node.input[0]].data_type == onnx.TensorProto.FLOAT16
        and any(attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute)
    )
