"""Append nodes to a graph. Each operator is written as the operator set of the graph has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from collabd.catalog.authoring.foreign.image_input import free_name

_PREFIX = "collabd.detect"
# From these versions on, an operator takes its axes as an input.
_AXES_AS_INPUT = {"ReduceSum": 13, "ReduceMax": 18}


class GraphWriter:
    """Appends nodes to `graph`, which is written in version `opset`, 11 or newer, of ONNX's operators."""

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self._graph = graph
        self._opset = opset
        self._made = 0

    def add(self, operator: str, *inputs: str | np.ndarray, name: str | None = None, **attributes: Any) -> str:
        """The first output of a new node. Arrays among `inputs` become constants. `name`: what to call the output."""
        return self.add_pair(operator, *inputs, name=name, outputs=1, **attributes)[0]

    def add_pair(
        self, operator: str, *inputs: str | np.ndarray, name: str | None = None, outputs: int = 2, **attributes: Any
    ) -> list[str]:
        """The same for a node with two outputs."""
        made = [name or self._free(operator) for _ in range(outputs)]
        reads = [self._constant(each) if isinstance(each, np.ndarray) else each for each in inputs]
        self._graph.node.append(helper.make_node(operator, reads, made, **attributes))
        return made

    def reduced(self, operator: str, tensor: str, axis: int) -> str:
        """`tensor` reduced along `axis`, which goes."""
        if self._opset < _AXES_AS_INPUT[operator]:
            return self.add(operator, tensor, axes=[axis], keepdims=0)
        return self.add(operator, tensor, np.array([axis]), keepdims=0)

    def part(self, tensor: str, start: int, end: int, *, axis: int) -> str:
        """The entries from `start` to before `end` along `axis`."""
        return self.add("Slice", tensor, np.array([start]), np.array([end]), np.array([axis]))

    def columns(self, tensor: str, *indices: int) -> str:
        """These entries of the last axis of a tensor of three axes."""
        return self.add("Gather", tensor, np.array(indices), axis=2)

    def best(self, scores: str, count: int) -> tuple[str, str]:
        """The `count` largest along the last axis of two, falling, and where they are."""
        values, indices = self.add_pair("TopK", scores, np.array([count]), axis=1)
        return values, indices

    def _constant(self, value: np.ndarray) -> str:
        name = self._free("constant")
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _free(self, kind: str) -> str:
        self._made += 1
        return free_name(self._graph, f"{_PREFIX}.{self._made}.{kind}")
