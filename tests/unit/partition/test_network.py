from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.engine import Engine
from collabd.partition import Network, PartitionError, annotate

Build = Callable[..., onnx.ModelProto]
RNG = np.random.default_rng(1)
KERNEL = RNG.standard_normal((4, 4, 3, 3)).astype(np.float32)


@pytest.fixture
def residual(model: Build) -> onnx.ModelProto:
    """x → conv → a → relu → b, y = a + b, and a node whose result nobody reads."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Mul", ["b", "unused"], ["dead"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    return annotate(model(nodes, ["y"], {"k": KERNEL, "unused": np.ones(1, np.float32)}))


def halved(stored: onnx.ModelProto) -> onnx.ModelProto:
    """The kernel in fp16 behind a Cast, as packages store it."""
    kernel = next(tensor for tensor in stored.graph.initializer if tensor.name == "k")
    kernel.CopyFrom(numpy_helper.from_array(KERNEL.astype(np.float16), "k.half"))
    stored.graph.node.insert(0, helper.make_node("Cast", ["k.half"], ["k"], to=TensorProto.FLOAT))
    return stored


def test_what_no_output_needs_is_left_out(residual: onnx.ModelProto) -> None:
    network = Network.from_proto(residual)
    assert [node.op_type for node in network.graph.nodes] == ["Conv", "Relu", "Add"]
    assert network.weights.keys() == {"k"}
    assert network.weight_bytes == KERNEL.nbytes
    with pytest.raises(PartitionError, match="dead"):
        network.tensor("dead")


def test_a_stored_half_is_one_float32_array(residual: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(halved(residual), path)
    network = Network.load(path)
    assert [node.op_type for node in network.graph.nodes] == ["Conv", "Relu", "Add"]
    assert network.weights.keys() == {"k"}
    assert network.weights["k"].dtype == np.float32
    np.testing.assert_array_equal(network.weights["k"], KERNEL.astype(np.float16).astype(np.float32))


def test_a_half_that_another_node_reads_stays(residual: onnx.ModelProto) -> None:
    stored = halved(residual)
    stored.graph.node.insert(1, helper.make_node("Cast", ["k.half"], ["k.double"], to=TensorProto.DOUBLE))
    stored.graph.node.insert(2, helper.make_node("Cast", ["k.double"], ["k.single"], to=TensorProto.FLOAT))
    stored.graph.node[3].input[1] = "k.single"
    stored.graph.node.append(helper.make_node("ReduceSum", ["k"], ["sum"]))
    stored.graph.node.append(helper.make_node("Add", ["y", "sum"], ["z"]))
    stored.graph.output[0].name = "z"
    network = Network.from_proto(stored)
    assert network.weights.keys() == {"k", "k.half"}


def test_a_part_holds_its_nodes_and_keeps_the_batch_open(residual: onnx.ModelProto) -> None:
    network = Network.from_proto(residual)
    head = network.subgraph(["x"], ["a"])
    assert [node.op_type for node in onnx.load_from_string(head.model).graph.node] == ["Conv"]
    tail = onnx.load_from_string(network.subgraph(["a"], ["y"]).model)
    assert [node.op_type for node in tail.graph.node] == ["Relu", "Add"]
    assert tail.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_weights_go_by_size(model: Build) -> None:
    sizes = {"large": (1024, 1025), "middle": (1025, 16), "small": (16,)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in sizes.items()}
    nodes = [
        helper.make_node("MatMul", ["x", "large"], ["a"]),
        helper.make_node("MatMul", ["a", "middle"], ["b"]),
        helper.make_node("Add", ["b", "small"], ["y"]),
    ]
    network = Network.from_proto(model(nodes, ["y"], weights, {"x": (TensorProto.FLOAT, ["batch", 1024])}))
    part = network.subgraph(["x"], ["y"])
    assert part.weights.keys() == {"large"}
    assert part.constants.keys() == {"middle"}
    assert part.weights["large"] is network.weights["large"]
    assert part.constants["middle"] is network.weights["middle"]
    graph = onnx.load_from_string(part.model).graph
    assert [value.name for value in graph.input] == ["x", "large"]
    assert len(part.model) < 2048


def test_large_quantised_weights_stay_constants(model: Build) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    weights = {"q": RNG.integers(-9, 9, (2048, 2560), dtype=np.int8), "scale": np.array(0.5, np.float32)}
    network = Network.from_proto(model(nodes, ["y"], weights, {"x": (TensorProto.FLOAT, ["batch", 2048])}))
    part = network.subgraph(["x"], ["y"])
    assert not part.weights
    assert part.constants.keys() == {"q"}
    assert network.graph.frontiers == (("x",), ("x",), ("y",))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (["b"], ["y"], r"without|\['x'\] are missing"),
        (["nowhere"], ["y"], "no tensor 'nowhere'"),
        (["x"], ["nowhere"], "no tensor 'nowhere'"),
        (["k"], ["y"], "no tensor 'k'"),
        (["a", "a"], ["y"], "twice"),
        (["a", "y"], ["y"], "twice"),
        (["x", "a"], ["y"], r"\['x'\] are not needed"),
        (["x"], [], "at least one"),
        ([], ["y"], "at least one"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(
    residual: onnx.ModelProto, inputs: list[str], outputs: list[str], reason: str
) -> None:
    with pytest.raises(PartitionError, match=reason):
        Network.from_proto(residual).subgraph(inputs, outputs)


def test_needed_is_the_least_of_what_is_available(residual: onnx.ModelProto) -> None:
    network = Network.from_proto(residual)
    assert network.needed(["x", "b", "a"], ["y"]) == ("b", "a")
    assert network.needed(["x", "a"], ["b"]) == ("a",)
    with pytest.raises(PartitionError, match="missing"):
        network.needed(["b"], ["a"])


def test_a_model_that_states_no_shapes_is_refused(model: Build, tmp_path: Path) -> None:
    bare = model([helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])], ["y"])
    onnx.save(bare, tmp_path / "model.onnx")
    with pytest.raises(PartitionError, match=r"no shape for \['a'\]"):
        Network.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"not a model", b"\x0a\xff\xff\xff\xff\x0f", None])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PartitionError, match=r"model\.onnx"):
        Network.load(path)


def test_an_output_that_ignores_the_input_is_refused(model: Build) -> None:
    built = model([helper.make_node("Relu", ["w"], ["y"])], ["y"], {"w": np.ones((1, 2), np.float32)})
    with pytest.raises(PartitionError, match="do not depend"):
        Network.from_proto(built)


def test_sparse_weights_are_refused(residual: onnx.ModelProto) -> None:
    residual.graph.sparse_initializer.add()
    with pytest.raises(PartitionError, match="sparse"):
        Network.from_proto(residual)


def test_local_functions_travel_with_every_part(model: Build) -> None:
    body = [helper.make_node("Relu", ["i"], ["m"]), helper.make_node("Neg", ["m"], ["o"])]
    built = model([helper.make_node("NegRelu", ["x"], ["y"], domain="local")], ["y"])
    built.opset_import.add(domain="local", version=1)
    built.functions.append(helper.make_function("local", "NegRelu", ["i"], ["o"], body, [helper.make_opsetid("", 20)]))
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("n", Network.from_proto(built))
    x = RNG.standard_normal((2, 4, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(engine.run("n", {"x": x}, ["y"])["y"], -np.maximum(x, 0))
