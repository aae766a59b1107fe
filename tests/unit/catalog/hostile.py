"""Graphs that mean harm, of nodes that each test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper


def graph_of(nodes: Sequence[NodeProto], **weights: Any) -> onnx.ModelProto:
    """uint8 [batch, 16, 16, 3] by way of `nodes`, from "float" to "made", to 3 scores."""
    before = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    after = [
        helper.make_node("ReduceMean", ["made"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "narrow"], ["scores"]),
        helper.make_node("Add", ["scores", "mean"], ["logits"]),
    ]
    weights["narrow"] = np.zeros((768, 3), np.float32)
    graph = helper.make_graph(
        [before, *nodes, *after],
        "hostile",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 16, 16, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


def node(op: str, *inputs: str, made: str = "made", **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [made], **attributes)


def whole(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)
