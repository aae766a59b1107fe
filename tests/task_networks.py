"""Small networks with random weights, one for each task, and the packages of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Detect, Picture, Segment, Task, Tensors
from collabd.catalog.package.package import Package

BOXES = 24
CLASSES = ("cat", "dog", "cup")
GROUND = ("ground", "road", "sky", "tree")
DETECT = Detect(classes=CLASSES, score_threshold=0.5, iou_threshold=0.3, most=10)
LETTERBOX = Picture(height=32, width=48, rule="letterbox", pad=114)
STRETCHED = Picture(height=64, width=64)


def detector(seed: int = 0) -> onnx.ModelProto:
    """uint8 [batch, 32, 48, 3] to the 24 best of 96 boxes, which tell their class by the largest of three sigmoids."""
    rng = np.random.default_rng(seed)
    nodes = [
        *_front(),
        _conv("x", "conv1", strides=2),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        _conv("relu1", "conv2", strides=2),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        _conv("relu2", "head"),
        helper.make_node("Reshape", ["head", "rows"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["each"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["each"], ["shares"]),
        helper.make_node("Split", ["shares", "parts"], ["corner", "sides", "kinds"], axis=2),
        helper.make_node("Mul", ["corner", "size"], ["low"]),
        helper.make_node("Mul", ["sides", "size"], ["extent"]),
        helper.make_node("Add", ["low", "extent"], ["high"]),
        helper.make_node("Concat", ["low", "high"], ["all"], axis=2),
        helper.make_node("ReduceMax", ["kinds", "last"], ["sure"], keepdims=0),
        helper.make_node("ArgMax", ["kinds"], ["kind"], axis=2, keepdims=0),
        helper.make_node("TopK", ["sure", "count"], ["scores", "best"], axis=1),
        helper.make_node("GatherElements", ["kind", "best"], ["wide"], axis=1),
        helper.make_node("Cast", ["wide"], ["classes"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["best", "last"], ["one"]),
        helper.make_node("Concat", ["one"] * 4, ["four"], axis=2),
        helper.make_node("GatherElements", ["all", "four"], ["boxes"], axis=1),
    ]
    weights = {
        "conv1.weight": _random(rng, 8, 3, 3, 3),
        "conv2.weight": _random(rng, 16, 8, 3, 3),
        "head.weight": 4 * _random(rng, 7, 16, 1, 1),
        "rows": np.array([-1, 7, 96]),
        "parts": np.array([2, 2, 3]),
        "size": np.array([48, 32], np.float32),
        "last": np.array([2]),
        "count": np.array([BOXES]),
    }
    outputs = {
        "boxes": (TensorProto.FLOAT, ["batch", BOXES, 4]),
        "scores": (TensorProto.FLOAT, ["batch", BOXES]),
        "classes": (TensorProto.INT32, ["batch", BOXES]),
    }
    return _model(nodes, {"image": (TensorProto.UINT8, ["batch", 32, 48, 3])}, outputs, weights)


def segmenter(seed: int = 0) -> onnx.ModelProto:
    """uint8 [batch, 64, 64, 3] to a map of four classes, uint8 [batch, 32, 32]."""
    rng = np.random.default_rng(seed)
    nodes = [
        *_front(),
        _conv("x", "conv1", strides=2),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        _conv("relu1", "conv2", strides=1),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        _conv("relu2", "head"),
        helper.make_node("ArgMax", ["head"], ["largest"], axis=1, keepdims=0),
        helper.make_node("Cast", ["largest"], ["map"], to=TensorProto.UINT8),
    ]
    weights = {
        "conv1.weight": _random(rng, 4, 3, 3, 3),
        "conv2.weight": _random(rng, 4, 4, 3, 3),
        "head.weight": _random(rng, 4, 4, 1, 1),
    }
    inputs = {"image": (TensorProto.UINT8, ["batch", 64, 64, 3])}
    return _model(nodes, inputs, {"map": (TensorProto.UINT8, ["batch", 32, 32])}, weights)


def mixer(seed: int = 0, batch: str | int = "batch") -> onnx.ModelProto:
    """`signal` float32 [batch, 16] and `gain` int32 [batch, 1] to `early` [batch, 4] and `late` [batch, 8].

    One output is known halfway. The gain is read by the last node alone, so it is alive at every cut.
    """
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("MatMul", ["signal", "w1"], ["m1"]),
        helper.make_node("Relu", ["m1"], ["h1"]),
        helper.make_node("MatMul", ["h1", "w2"], ["early"]),
        helper.make_node("MatMul", ["h1", "w3"], ["m3"]),
        helper.make_node("Relu", ["m3"], ["h3"]),
        helper.make_node("MatMul", ["h3", "w4"], ["m4"]),
        helper.make_node("Cast", ["gain"], ["times"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["m4", "times"], ["late"]),
    ]
    sizes = {"w1": (16, 64), "w2": (64, 4), "w3": (64, 32), "w4": (32, 8)}
    weights = {name: (rng.standard_normal(shape) / 4).astype(np.float32) for name, shape in sizes.items()}
    inputs = {"signal": (TensorProto.FLOAT, [batch, 16]), "gain": (TensorProto.INT32, [batch, 1])}
    outputs = {"early": (TensorProto.FLOAT, [batch, 4]), "late": (TensorProto.FLOAT, [batch, 8])}
    return _model(nodes, inputs, outputs, weights)


def package_of(kind: str, out: Path, images: Sequence[np.ndarray] = (), *, name: str = "tiny") -> Package:
    """The package of the network of this task."""
    model, task, picture = NETWORKS[kind]
    return build(
        model,
        name=name,
        task=task,
        picture=picture,
        licence="CC0-1.0",
        provenance="made for the tests",
        images=images,
        out=out,
    )


def _front() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["half"]),
        helper.make_node("Sub", ["half", "unit"], ["x"]),
    ]


def _conv(source: str, name: str, strides: int = 1) -> onnx.NodeProto:
    pads = [0 if name == "head" else 1] * 4
    return helper.make_node("Conv", [source, f"{name}.weight"], [name], strides=[strides] * 2, pads=pads)


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])), np.float32)


_Ports = Mapping[str, tuple[int, Sequence[Any]]]


def _model(
    nodes: list[onnx.NodeProto], inputs: _Ports, outputs: _Ports, weights: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    known = dict(weights) | {"scale": np.float32(2 / 255), "unit": np.float32(1)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in known.items() if name in used],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


NETWORKS: dict[str, tuple[onnx.ModelProto, Task, Picture | None]] = {
    "detect": (detector(), DETECT, LETTERBOX),
    "segment": (segmenter(), Segment(classes=GROUND), STRETCHED),
    "tensors": (mixer(), Tensors(), None),
}
