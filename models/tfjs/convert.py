"""A TensorFlow.js graph model as an ONNX graph of the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import count

import numpy as np
import onnx
from onnx import checker

from collab_sdk.errors import InvalidPackage
from models.tfjs.graph import Node, TfjsGraph
from models.tfjs.operators import OPERATORS, Operator
from models.tfjs.tensors import BATCH, Tensor, Writer

__all__ = ["convert"]

_INPUT = "Placeholder"
_WEIGHT = "Const"


def convert(graph: TfjsGraph, outputs: Mapping[str, str]) -> onnx.ModelProto:
    """`graph` in ONNX, with float32 weights. `outputs`: TensorFlow's name of each wanted tensor, and its name in ONNX.

    Inputs keep their names. Inputs and outputs have TensorFlow's order of axes. The first axis is the batch: 1 in
    TensorFlow.js, here it is open. Raises `InvalidPackage` naming the operator if one has no conversion in `OPERATORS`,
    or naming what the graph lacks.
    """
    writer = Writer()
    tensors: dict[str, Tensor] = {}
    for node in _ordered(graph.nodes, list(outputs)):
        if node.op == _INPUT:
            tensors[node.name] = writer.image(node.name, node.sizes("shape"))
        else:
            reads = [_tensor(tensors, name) for name in node.input]
            made = [_weight(graph, node)] if node.op == _WEIGHT else _operator(node)(writer, node, reads)
            tensors |= zip(_names(node.name), made, strict=False)
    for name, given in outputs.items():
        tensor = _tensor(tensors, name)
        plain = writer.ordered(tensor, tuple(range(tensor.ndim)), f"{given}.constant")
        writer.node("Identity", [plain.name], given)
    model = writer.model(list(outputs.values()))
    for value in model.graph.output:  # the inference loses the name of the batch behind a Resize
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    checker.check_model(model)
    return model


def _ordered(nodes: Mapping[str, Node], wanted: Sequence[str]) -> Iterator[Node]:
    """The nodes that compute `wanted`, each behind those that it reads."""
    reads: dict[str, list[str]] = {}
    waiting = [_node_of(name) for name in wanted]
    while waiting:
        name = waiting.pop()
        if name not in nodes:
            raise InvalidPackage(f"the graph has no node {name}")
        if name not in reads:
            reads[name] = [_node_of(each) for each in nodes[name].input]
            waiting += reads[name]
    try:
        yield from (nodes[name] for name in TopologicalSorter(reads).static_order())
    except CycleError as error:
        raise InvalidPackage(f"the graph runs in a circle: {' → '.join(error.args[1])}") from error


def _weight(graph: TfjsGraph, node: Node) -> np.ndarray:
    if node.name not in graph.weights:
        raise InvalidPackage(f"there are no weights for {node.name}")
    return graph.weights[node.name]


def _operator(node: Node) -> Operator:
    if node.op not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise InvalidPackage(f"{node.name} is a {node.op}; models/tfjs/operators.py converts only {known}")
    return OPERATORS[node.op]


def _tensor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if (plain := name.removesuffix(":0")) not in tensors:
        raise InvalidPackage(f"{_node_of(name)} has no output {name}")
    return tensors[plain]


def _node_of(name: str) -> str:
    return name.partition(":")[0]


def _names(node: str) -> Iterator[str]:
    yield node
    yield from (f"{node}:{place}" for place in count(1))
