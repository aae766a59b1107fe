"""Small networks with random weights whose raw outputs have the shapes of a family of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.detect import Recognised, decode, examine, recognise
from tests.plain_session import plain_session

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Net:
    """A graph under construction, from float planes `images` of 0 to `white`. Its weights are drawn from `seed`."""

    def __init__(self, height: int, width: int, *, seed: int = 0, opset: int = 17, white: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.source = "images" if white == 1 else self.add("Mul", "images", np.array(1 / white, np.float32))
        self.inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])]

    def add(self, operator: str, *inputs: str | np.ndarray, name: str | None = None, **attributes: Any) -> str:
        made = name or f"t{len(self.nodes)}"
        names = [self.constant(each) if isinstance(each, np.ndarray) else each for each in inputs]
        self.nodes.append(helper.make_node(operator, names, [made], **attributes))
        return made

    def constant(self, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def conv(self, x: str, before: int, behind: int, *, size: int = 3, stride: int = 1, spread: float = 1.0) -> str:
        scale = spread * np.sqrt(2 / (before * size * size))
        weight = (self.rng.standard_normal((behind, before, size, size)) * scale).astype(np.float32)
        bias = (self.rng.standard_normal(behind) * 0.1 * spread).astype(np.float32)
        return self.add("Conv", x, weight, bias, strides=[stride] * 2, pads=[size // 2] * 4)

    def pyramid(self, strides: Sequence[int]) -> dict[int, str]:
        """Features of 8 channels at each of these strides."""
        x, found, channels = self.source, {}, 3
        for stride in (2, 4, 8, 16, 32, 64):
            if stride <= max(strides):
                x = self.add("Relu", self.conv(x, channels, 8, stride=2))
                found[stride], channels = x, 8
        return {stride: found[stride] for stride in strides}

    def rows(self, x: str, width: int, *, spread: float = 1.0) -> str:
        """[batch, cells, width] of features."""
        flat = self.add("Reshape", self.conv(x, 8, width, size=1, spread=spread), np.array([0, width, -1]))
        return self.add("Transpose", flat, perm=[0, 2, 1])

    def all_rows(self, strides: Sequence[int], width: int, *, per_cell: int = 1, spread: float = 1.0) -> str:
        """[batch, all cells of all strides x per_cell, width]."""
        parts = [
            self.add("Reshape", self.rows(x, width * per_cell, spread=spread), np.array([0, -1, width]))
            for x in self.pyramid(strides).values()
        ]
        return self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]

    def queries(self, count: int, width: int, *, spread: float = 1.0) -> str:
        """[batch, count, width], each made of all of the picture."""
        (x,) = self.pyramid([16]).values()
        vector = self.add("Flatten", self.add("GlobalAveragePool", x))
        weight = (self.rng.standard_normal((8, count * width)) * spread * 3).astype(np.float32)
        bias = (self.rng.standard_normal(count * width) * spread).astype(np.float32)
        made = self.add("Add", self.add("MatMul", vector, weight), bias)
        return self.add("Reshape", made, np.array([-1, count, width]))

    def part(self, x: str, start: int, end: int, axis: int = 2) -> str:
        return self.add("Slice", x, np.array([start]), np.array([end]), np.array([axis]))

    def model(self, outputs: dict[str, str], kinds: dict[str, int] | None = None) -> onnx.ModelProto:
        """The model with these outputs, each from a tensor."""
        for name, tensor in outputs.items():
            self.add("Identity", tensor, name=name)
        given = [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), None) for name in outputs
        ]
        graph = helper.make_graph(self.nodes, "net", self.inputs, given, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def run(model: onnx.ModelProto, **feeds: np.ndarray) -> list[np.ndarray]:
    session = plain_session(model.SerializeToString())
    found: list[np.ndarray] = session.run(None, feeds)
    return found


def pictures(count: int, height: int, width: int, *, seed: int = 1) -> Floats:
    """Patches of colour under noise: cells differ, and no two give equal scores."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, 3, -(-height // 16), -(-width // 16)))
    patches = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]
    return (patches + rng.random(patches.shape) / 4).astype(np.float32)


def recognised(model: onnx.ModelProto, **stated: Any) -> Recognised:
    found = recognise(examine(model, **stated))
    assert found is not None
    return found


def decoded(model: onnx.ModelProto, *, most: int = 100, **stated: Any) -> onnx.ModelProto:
    return decode(model, recognised(model, **stated), most=most)
