from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from collabd.partition import Network, order

Build = Callable[..., onnx.ModelProto]


def alive(model: onnx.ModelProto) -> list[int]:
    network = Network.from_proto(model)
    return [sum(network.tensor(name).nbytes for name in frontier) for frontier in network.graph.frontiers]


def weights(*widths: tuple[int, int]) -> dict[str, np.ndarray]:
    return {f"{to}x{of}": np.ones((to, of, 1, 1), np.float32) for of, to in widths}


def test_branches_run_one_after_the_other(model: Build) -> None:
    """Both wide tensors at once, as a breadth-first optimiser leaves them, become one at a time."""
    nodes = [
        helper.make_node("Conv", ["x", "32x4"], ["wide1"]),
        helper.make_node("Conv", ["x", "32x4"], ["wide2"]),
        helper.make_node("Conv", ["wide1", "1x32"], ["thin1"]),
        helper.make_node("Conv", ["wide2", "1x32"], ["thin2"]),
        helper.make_node("Add", ["thin1", "thin2"], ["y"]),
    ]
    built = model(nodes, ["y"], weights((4, 32), (32, 1)))
    ordered = order(built)
    plane = 8 * 8 * 4
    assert max(alive(built)) == 64 * plane
    assert max(alive(ordered)) == (32 + 4) * plane


def test_what_is_needed_late_is_made_late(model: Build) -> None:
    """A tensor made from the input's shape alone must not be carried along the whole way."""
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["noughts"]),
        helper.make_node("Conv", ["x", "8x4"], ["a"]),
        helper.make_node("Conv", ["a", "4x8"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Add", ["c", "noughts"], ["y"]),
    ]
    ordered = order(model(nodes, ["y"], weights((4, 8), (8, 4))))
    operators = [node.op_type for node in ordered.graph.node]
    assert operators.index("Shape") == 0
    assert operators.index("ConstantOfShape") == operators.index("Add") - 1


def test_a_good_order_is_kept(model: Build) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "4x4"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "4x4"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    built = model(nodes, ["y"], weights((4, 4)))
    assert [node.output[0] for node in order(built).graph.node] == ["a", "b", "c", "y"]


def test_what_has_an_unknown_size_is_made_where_it_is_read(model: Build) -> None:
    """It may be larger than all that must be kept for making it late."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Conv", ["x", "1x4"], ["thin"]),
        helper.make_node("Relu", ["thin"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Cast", ["where"], ["places"], to=1),
        helper.make_node("ReduceMean", ["places"], ["mean"], keepdims=0),
        helper.make_node("Add", ["b", "mean"], ["y"]),
    ]
    ordered = [node.op_type for node in order(model(nodes, ["y"], weights((4, 1)))).graph.node]
    assert ordered.index("NonZero") == ordered.index("Cast") - 1 == ordered.index("ReduceMean") - 2
