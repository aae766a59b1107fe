"""Tensors on their way from TensorFlow's order of axes to ONNX's.

TensorFlow's convolutions have the channels last, ONNX's have them second. Each tensor therefore carries the order in
which the ONNX graph holds its axes, and TensorFlow's transpositions only change that note. The ONNX graph gets a
`Transpose` only where an operator needs an order that the tensor does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

__all__ = ["BATCH", "CHANNELS_SECOND", "Computed", "Tensor", "Writer"]

BATCH = "batch"
# Every ONNX Runtime that collabd knows reads these.
_OPSET = 17
_IR = 8
# ONNX's order of TensorFlow's axes (batch, height, width, channels).
CHANNELS_SECOND = (0, 3, 1, 2)


@dataclass(frozen=True)
class Computed:
    """A tensor of the ONNX graph, whose axis n is the axis `axes[n]` of TensorFlow's tensor."""

    name: str
    axes: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.axes)

    def place(self, axis: int) -> int:
        """Where the ONNX tensor has TensorFlow's `axis`, which may count from the end."""
        return self.axes.index(axis % self.ndim)

    def transposed(self, order: Sequence[int]) -> Computed:
        """The same ONNX tensor, as TensorFlow sees it when its axes are put into `order`."""
        return Computed(self.name, tuple(list(order).index(axis) for axis in self.axes))


# What is known when the graph is converted is an array, in TensorFlow's order of axes.
Tensor = Computed | np.ndarray


class Writer:
    """Collects the inputs, nodes and weights of the ONNX graph."""

    def __init__(self) -> None:
        self.inputs: list[onnx.ValueInfoProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        # Tensors with -inf around them: what is inside, and how wide the border is, as `pads` of ONNX say it.
        self.bordered: dict[str, tuple[str, list[int]]] = {}
        self._turned: dict[tuple[str, tuple[int, ...]], Computed] = {}

    def image(self, name: str, sizes: Sequence[int]) -> Computed:
        """Add an input of these sizes. The first is the batch, which stays open."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *sizes[1:]]))
        return Computed(name, tuple(range(len(sizes))))

    def node(self, operator: str, reads: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node whose only output is called `name`."""
        self.nodes.append(helper.make_node(operator, reads, [name], name=name, **attributes))
        return name

    def weight(self, array: np.ndarray, name: str) -> str:
        """Add a constant."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ordered(self, tensor: Tensor, axes: tuple[int, ...], name: str) -> Computed:
        """`tensor` in the order `axes`. A constant becomes a weight called `name`."""
        if isinstance(tensor, np.ndarray):
            return Computed(self.weight(tensor.transpose(axes), name), axes)
        if tensor.axes == axes:
            return tensor
        key = (tensor.name, tuple(tensor.place(axis) for axis in axes))
        if key not in self._turned:
            turned = f"{tensor.name}:{''.join(map(str, key[1]))}"
            self._turned[key] = Computed(self.node("Transpose", [tensor.name], turned, perm=key[1]), axes)
        return Computed(self._turned[key].name, axes)

    def sides(self, image: str) -> tuple[int, int]:
        """Height and width of a tensor that has the channels second."""
        *_, height, width = self.model([image]).graph.output[0].type.tensor_type.shape.dim
        return height.dim_value, width.dim_value

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        """What was added, as a graph whose tensors have their shapes."""
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(_needed(self.nodes, outputs), "tfjs", self.inputs, given, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, in the same order."""
    wanted, kept = {*outputs}, []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
