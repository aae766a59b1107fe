"""Random graphs: DAGs with branches, several frontier tensors, shape arithmetic and dead ends, chains, and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

SIDE = 6


class Sketch:
    """A graph in the making; every feature is float32 [batch, channels, side, side]."""

    def __init__(self, seed: int, side: int = SIDE) -> None:
        self.side = side
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self.channels: dict[str, int] = {}

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], channels: int, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        self.channels[name] = channels
        return name

    def conv(self, x: str, channels: int, size: int) -> str:
        kernel = self.rng.standard_normal((channels, self.channels[x], size, size)) / (self.channels[x] * size)
        return self.node("Conv", [x, self.weight(kernel.astype(np.float32))], channels, pads=[size // 2] * 4)

    def concat(self, x: str, y: str) -> str:
        return self.node("Concat", [x, y], self.channels[x] + self.channels[y], axis=1)

    def add(self, x: str, y: str) -> str:
        return self.node("Add", [x, self.conv(y, self.channels[x], 1)], self.channels[x])

    def gate(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x], self.channels[x])], self.channels[x])

    def pool(self, x: str) -> str:
        return self.node("MaxPool", [x], self.channels[x], kernel_shape=[3, 3], pads=[1] * 4)

    def fold(self, x: str) -> str:
        """There and back by way of the tensor's own shape, an integer tensor that stays alive meanwhile."""
        shape = self.node("Shape", [x], 0)
        flat = self.node("Flatten", [self.node("Relu", [x], self.channels[x])], 0)
        return self.node("Reshape", [flat, shape], self.channels[x])

    def scale(self, x: str) -> str:
        """By a factor that is itself computed from weights alone."""
        halves = [self.weight(self.rng.random((1, self.channels[x], 1, 1), np.float32)) for _ in range(2)]
        return self.node("Mul", [x, self.node("Add", halves, 0)], self.channels[x])

    def model(self, features: Sequence[str]) -> onnx.ModelProto:
        x = self.node("Concat", features, sum(self.channels[name] for name in features), axis=1)
        matrix = self.rng.standard_normal((self.channels[x], 3)).astype(np.float32)
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [x], self.channels[x])], 0)
        self.nodes.append(helper.make_node("Gemm", [pooled, self.weight(matrix)], ["logits"]))
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", self.side, self.side, 2])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
        graph = helper.make_graph(self.nodes, "random", [image], [logits], self.weights)
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@st.composite
def models(draw: st.DrawFn, chain: bool = False) -> onnx.ModelProto:
    """A chain, or a DAG in which any feature may be used again, or never."""
    sketch = Sketch(draw(st.integers(0, 2**16)))
    planes = sketch.node("Transpose", ["image"], 2, perm=[0, 3, 1, 2])
    start = sketch.node("Cast", [planes], 2, to=TensorProto.FLOAT)
    features = [sketch.conv(sketch.scale(start), 3, 3)]
    for kind in draw(st.lists(st.sampled_from("crrmgfsap"), min_size=1, max_size=9)):
        x = features[-1] if chain else draw(st.sampled_from(features))
        y = x if chain else draw(st.sampled_from(features))
        features.append(_grown(sketch, kind, x, y, draw(st.integers(1, 5))))
    used = features[-1:] if chain else draw(st.lists(st.sampled_from(features), min_size=1, max_size=3, unique=True))
    return sketch.model(used)


def _grown(sketch: Sketch, kind: str, x: str, y: str, channels: int) -> str:
    grow = {
        "c": lambda: sketch.conv(x, channels, 3),
        "r": lambda: sketch.node("Relu", [x], sketch.channels[x]),
        "m": lambda: sketch.concat(x, y) if sketch.channels[x] + sketch.channels[y] < 16 else sketch.pool(x),
        "g": lambda: sketch.gate(x),
        "f": lambda: sketch.fold(x),
        "s": lambda: sketch.scale(x),
        "a": lambda: sketch.add(x, y),
        "p": lambda: sketch.pool(x),
    }
    return grow[kind]()


ANY = st.one_of(models(), models(chain=True))


@st.composite
def blocks(draw: st.DrawFn) -> onnx.ModelProto:
    """As people build them: blocks of parallel branches of convolutions, and fewer pixels towards the end."""
    sketch = Sketch(draw(st.integers(0, 2**16)), side=32)
    planes = sketch.node("Transpose", ["image"], 2, perm=[0, 3, 1, 2])
    x = sketch.conv(sketch.node("Cast", [planes], 2, to=TensorProto.FLOAT), draw(st.integers(4, 8)), 3)
    widths = st.lists(st.tuples(st.integers(1, 8), st.sampled_from([1, 3])), min_size=1, max_size=4)
    for branches in draw(st.lists(st.lists(widths, min_size=1, max_size=3), min_size=1, max_size=4)):
        ends = [_branch(sketch, x, branch) for branch in branches]
        x = sketch.node("Concat", ends, sum(sketch.channels[end] for end in ends), axis=1)
        if draw(st.booleans()):
            x = sketch.node("MaxPool", [x], sketch.channels[x], kernel_shape=[2, 2], strides=[2, 2])
    return sketch.model([x])


def _branch(sketch: Sketch, x: str, widths: Sequence[tuple[int, int]]) -> str:
    for channels, size in widths:
        x = sketch.conv(x, channels, size)
    return x
