from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collabd.partition import Network, layers

Build = Callable[..., onnx.ModelProto]
IMAGE = {"image": (TensorProto.UINT8, ["batch", 8, 8, 3])}


def kernel(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def shape(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.fixture
def alexnet(model: Build) -> Network:
    """AlexNet in small, with local response normalisation written out in elementary operators."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "k1"], ["conv1"]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Mul", ["relu1", "relu1"], ["square"]),
        helper.make_node("Pad", ["square", "pads"], ["padded"]),
        helper.make_node("Slice", ["padded", "from", "to", "axis"], ["shifted"]),
        helper.make_node("Add", ["square", "shifted"], ["sum"]),
        helper.make_node("Pow", ["sum", "beta"], ["power"]),
        helper.make_node("Div", ["relu1", "power"], ["norm"]),
        helper.make_node("MaxPool", ["norm"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc"], ["logits"], transB=1),
        helper.make_node("Reshape", ["logits", "as_is"], ["scores"]),
    ]
    weights = {
        "scale": np.float32(1 / 255).reshape(1),
        "k1": kernel(5, 3, 3, 3),
        "pads": shape(0, 1, 0, 0, 0, 0, 0, 0),
        "from": shape(0),
        "to": shape(5),
        "axis": shape(1),
        "beta": np.float32(0.75).reshape(1),
        "fc": kernel(7, 45),
        "as_is": shape(0, 7),
    }
    return Network.from_proto(model(nodes, ["scores"], weights, IMAGE))


def test_one_layer_a_module(alexnet: Network) -> None:
    found = [(layer.name, layer.op, layer.tensors, layer.macs) for layer in layers(alexnet)]
    assert found == [
        ("conv1", "Conv", ("conv1",), 5 * 6 * 6 * 27),
        ("relu1", "Relu", ("relu1",), 0),
        ("norm", "Div", ("norm",), 0),
        ("pool", "MaxPool", ("pool",), 0),
        ("scores", "Gemm", ("scores",), 7 * 45),
    ]


def test_parallel_branches_are_layers_with_several_tensors_behind_them(model: Build) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["stem"]),
        helper.make_node("Conv", ["stem", "k"], ["left"]),
        helper.make_node("Relu", ["left"], ["left_relu"]),
        helper.make_node("Conv", ["stem", "k"], ["right"]),
        helper.make_node("Concat", ["left_relu", "right"], ["both"], axis=1),
        helper.make_node("Sigmoid", ["both"], ["gate"]),
        helper.make_node("Mul", ["both", "gate"], ["y"]),
    ]
    found = layers(Network.from_proto(model(nodes, ["y"], {"k": kernel(4, 4, 1, 1)})))
    assert [(layer.name, layer.op, layer.tensors) for layer in found] == [
        ("stem", "Conv", ("stem",)),
        ("left", "Conv", ("stem", "left")),
        ("left_relu", "Relu", ("stem", "left_relu")),
        ("right", "Conv", ("left_relu", "right")),
        ("both", "Concat", ("both",)),
        ("y", "Mul", ("y",)),
    ]


def test_integers_that_carry_shapes_do_not_hide_a_boundary(model: Build) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Conv", ["x", "k"], ["conv"]),
        helper.make_node("Neg", ["conv"], ["neg"]),
        helper.make_node("Flatten", ["neg"], ["flat"]),
        helper.make_node("Reshape", ["flat", "size"], ["y"]),
    ]
    found = layers(Network.from_proto(model(nodes, ["y"], {"k": kernel(4, 4, 1, 1)})))
    assert [(layer.name, layer.tensors) for layer in found] == [("conv", ("size", "conv")), ("y", ("y",))]


@pytest.mark.parametrize(
    ("node", "weights", "macs"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"], group=4), {"w": kernel(8, 1, 3, 3)}, 8 * 6 * 6 * 9),
        (helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2]), {"w": kernel(6, 4, 2, 2)}, 6 * 4 * 4 * 16),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"]), {"w": kernel(4, 5, 2, 2)}, 4 * 64 * 5 * 4),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": kernel(8, 3)}, 4 * 8 * 3 * 8),
        (helper.make_node("MatMul", ["x", "x"], ["y"]), {}, 4 * 8 * 8 * 8),
        (helper.make_node("Relu", ["x"], ["y"]), {}, 0),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2]), {}, 0),
    ],
)
def test_macs_are_counted_at_batch_1(
    model: Build, node: onnx.NodeProto, weights: dict[str, np.ndarray], macs: int
) -> None:
    (layer,) = layers(Network.from_proto(model([node], ["y"], weights)))
    assert layer.macs == macs


def test_a_transposed_gemm_counts_the_right_axis(model: Build) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)
    network = Network.from_proto(model([node], ["y"], {"w": kernel(6, 5)}, {"x": (TensorProto.FLOAT, [6, 2])}))
    assert layers(network)[0].macs == 2 * 5 * 6


def test_work_on_weights_alone_is_no_layer_and_costs_nothing(model: Build) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["conv"]),
        helper.make_node("MatMul", ["a", "a"], ["b"]),
        helper.make_node("Mul", ["conv", "b"], ["y"]),
    ]
    found = layers(Network.from_proto(model(nodes, ["y"], {"k": kernel(4, 4, 1, 1), "a": kernel(8, 8)})))
    assert [(layer.name, layer.macs) for layer in found] == [("conv", 4 * 64 * 4), ("y", 0)]


def test_a_network_without_any_weighty_operator_is_one_layer(model: Build) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["a"], ["y"])]
    assert [layer.op for layer in layers(Network.from_proto(model(nodes, ["y"])))] == ["Abs"]
