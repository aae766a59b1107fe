"""Half floats widened: a processor computes in float32, and the codecs for features carry float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from collabd.catalog.authoring.foreign.standard import nodes_of
from collabd.catalog.graph.tensors import tensors

_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
# The attributes by which operators name the type that they make.
_TYPES = {"to", "dtype", "output_dtype"}


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with float32 in place of float16 and bfloat16, except in weights that are only stored so. Values stay.

    A package stores large weights as float16 again, so they take no more room.
    """
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    stored = _only_stored(wide.graph)
    for tensor in tensors(wide):
        if tensor.data_type in _HALVES and tensor.name not in stored:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for node in nodes_of(wide.graph):
        _widen_attributes(node.attribute)
    for value in _values(wide.graph):
        if value.type.tensor_type.elem_type in _HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return wide


def has_halves(model: onnx.ModelProto) -> bool:
    """Whether a tensor of `model` is in half width, other than weights that are only stored so."""
    stored = _only_stored(model.graph)
    kinds = [value.type.tensor_type.elem_type for value in _values(model.graph)]
    kinds += [tensor.data_type for tensor in tensors(model) if tensor.name not in stored]
    return any(kind in _HALVES for kind in kinds)


def _only_stored(graph: onnx.GraphProto) -> set[str]:
    """The float16 weights that a Cast widens before anything else reads them, as in packages."""
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    return halves - {name for node in nodes_of(graph) if not _widens(node) for name in node.input}


def _widens(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(each.name == "to" and each.i == TensorProto.FLOAT for each in node.attribute)


def _widen_attributes(attributes: Iterable[onnx.AttributeProto]) -> None:
    for attribute in attributes:
        if attribute.name in _TYPES and attribute.i in _HALVES:
            attribute.i = TensorProto.FLOAT


def _values(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    found = [*graph.input, *graph.output, *graph.value_info]
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*attribute.graphs, attribute.g):
                found += _values(body)
    return found
