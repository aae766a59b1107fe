"""Quantised features as uint8. Their values stay, and both machines compute them alike."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from collabd.catalog.authoring.foreign.image_input import free_name
from collabd.catalog.authoring.foreign.standard import nodes_of


def unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with uint8 wherever a feature is quantised to int8, and its zero points 128 higher, so of equal value.

    On x86-64 ONNX Runtime is five times slower with int8 features. So it makes this change itself, but only where both
    ends of a feature lie in one session. A network that is cut between them would round differently than the whole.
    """
    shifted = onnx.ModelProto()
    shifted.CopyFrom(model)
    graph = shifted.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept = {output.name for output in graph.output}
    for node in list(graph.node):
        zero = weights.get(node.input[2]) if node.op_type == "QuantizeLinear" and len(node.input) > 2 else None
        if zero is None or zero.data_type != TensorProto.INT8 or node.input[0] in weights:
            continue
        readers = [reader for reader in nodes_of(graph) if node.output[0] in reader.input]
        if node.output[0] not in kept and all(reader.op_type == "DequantizeLinear" for reader in readers):
            higher = _shifted(graph, zero)
            for each in (node, *readers):
                each.input[:] = [*each.input[:2], higher]
    return shifted


def _shifted(graph: onnx.GraphProto, zero: onnx.TensorProto) -> str:
    value = numpy_helper.to_array(zero).astype(np.int16) + 128
    name = free_name(graph, f"{zero.name}:uint8")
    graph.initializer.append(numpy_helper.from_array(value.astype(np.uint8), name))
    return name
