from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collabd.partition import Network, PartitionError
from collabd.partition.graph import Graph

Build = Callable[..., onnx.ModelProto]


def nodes(*lines: str) -> list[onnx.NodeProto]:
    """`Op a b -> c d` a line."""
    found = []
    for line in lines:
        left, outputs = line.split(" -> ")
        op, *inputs = left.split()
        found.append(helper.make_node(op, ["" if name == "_" else name for name in inputs], outputs.split()))
    return found


def test_a_skipped_tensor_stays_alive_until_its_last_reader() -> None:
    graph = Graph(
        nodes("Relu x -> a", "Tanh a -> b", "Add a b -> c", "Relu c -> y"), inputs=["x"], outputs=["y"], weights=[]
    )
    assert graph.frontiers == (("x",), ("a",), ("a", "b"), ("c",), ("y",))


def test_weights_and_what_is_computed_from_them_alone_are_never_alive() -> None:
    graph = Graph(
        nodes("Add w v -> k", "Mul x k -> a", "Mul a k -> y"), inputs=["x"], outputs=["y"], weights=["w", "v"]
    )
    assert graph.frontiers == (("x",), ("x",), ("a",), ("y",))
    assert graph.constants == {"w", "v", "k"}


def test_the_input_is_alive_until_its_last_use() -> None:
    graph = Graph(nodes("Relu x -> a", "Relu a -> b", "Add b x -> y"), inputs=["x"], outputs=["y"], weights=[])
    assert graph.frontiers == (("x",), ("x", "a"), ("x", "b"), ("y",))


def test_an_output_in_the_middle_is_alive_to_the_end() -> None:
    graph = Graph(nodes("Relu x -> a", "Relu a -> b", "Relu b -> y"), inputs=["x"], outputs=["a", "y"], weights=[])
    assert graph.frontiers == (("x",), ("a",), ("a", "b"), ("a", "y"))


def test_outputs_nobody_reads_and_absent_optional_inputs_do_not_count() -> None:
    graph = Graph(nodes("Split x -> a unread", "Clip a _ w -> y"), inputs=["x"], outputs=["y"], weights=["w"])
    assert graph.frontiers == (("x",), ("a",), ("y",))


def test_noise_is_no_constant() -> None:
    graph = Graph(
        [helper.make_node("RandomNormal", [], ["n"], shape=[1]), *nodes("Add x n -> y")],
        inputs=["x"],
        outputs=["y"],
        weights=[],
    )
    assert graph.frontiers == (("x",), ("x", "n"), ("y",))


def test_nodes_out_of_order_are_refused() -> None:
    with pytest.raises(PartitionError, match="'a'"):
        Graph(nodes("Relu a -> y", "Relu x -> a"), inputs=["x"], outputs=["y"], weights=[])


def test_tensors_captured_by_a_nested_graph_are_read(model: Build) -> None:
    branches = {
        name: helper.make_graph([helper.make_node(op, ["a"], [name])], name, [], [value])
        for name, op in (("plus", "Relu"), ("minus", "Tanh"))
        for value in [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
    }
    chosen = helper.make_node("If", ["flag"], ["y"], then_branch=branches["plus"], else_branch=branches["minus"])
    built = model([*nodes("Sigmoid x -> a"), chosen], ["y"], {"flag": np.array(True)})
    network = Network.from_proto(built)
    assert network.graph.frontiers == (("x",), ("a",), ("y",))
    assert network.needed(["a"], ["y"]) == ("a",)


def test_upstream_stops_at_what_is_given() -> None:
    graph = Graph(
        nodes("Relu x -> a", "Relu x -> b", "Add a b -> c", "Mul c w -> y"), inputs=["x"], outputs=["y"], weights=["w"]
    )
    assert graph.upstream(["y"], {"c"}) == ([3], {"y", "c", "w"})
    assert graph.upstream(["y"], {"a"}) == ([1, 2, 3], {"y", "c", "w", "a", "b", "x"})
    assert graph.upstream(["a"], set()) == ([0], {"a", "x"})
