from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collabd.partition import UNKNOWN_BYTES, Network, PartitionError, TensorInfo, annotate
from tests.patience import PROGRAM_S

Build = Callable[..., onnx.ModelProto]


def test_the_batch_is_followed_through_reshapes(model: Build) -> None:
    # [batch, 4, 8, 8] → [batch*4, 64] → [batch, 256]: exporters write such shapes for attention and grouped pooling.
    built = model(
        [
            helper.make_node("Reshape", ["x", "rows"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Reshape", ["b", "flat"], ["y"]),
        ],
        ["y"],
        {"rows": np.array([-1, 64]), "flat": np.array([-1, 256])},
    )
    network = Network.from_proto(built)
    assert network.tensor("b") == TensorInfo(name="b", dtype=np.dtype(np.float32), shape=(None, 64), nbytes=4 * 64 * 4)
    assert network.tensor("y") == TensorInfo(name="y", dtype=np.dtype(np.float32), shape=(None, 256), nbytes=256 * 4)
    dims = {value.name: value.type.tensor_type.shape.dim[0].dim_param for value in annotate(built).graph.value_info}
    assert dims == {"a": "batch*4", "b": "batch*4"}


def test_a_fixed_batch_stays_a_number(model: Build) -> None:
    built = model([helper.make_node("Cast", ["x"], ["y"], to=1)], ["y"], inputs={"x": (TensorProto.UINT8, [1, 3])})
    network = Network.from_proto(built)
    assert network.inputs == (TensorInfo(name="x", dtype=np.dtype(np.uint8), shape=(1, 3), nbytes=3),)


def test_a_size_that_depends_on_the_values_is_unknown_and_counts_more_than_any_other(model: Build) -> None:
    built = model(
        [helper.make_node("NonZero", ["x"], ["where"]), helper.make_node("Cast", ["where"], ["y"], to=1)], ["y"]
    )
    assert Network.from_proto(built).tensor("where") == TensorInfo(
        name="where", dtype=np.dtype(np.int64), shape=(4, None), nbytes=UNKNOWN_BYTES
    )


def test_annotating_leaves_the_model_given_alone(model: Build) -> None:
    built = model([helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])], ["y"])
    before = built.SerializeToString(deterministic=True)
    annotate(built)
    assert built.SerializeToString(deterministic=True) == before


def test_annotating_and_ordering_copy_the_weights_once() -> None:
    """A large network fills the memory of a machine when shape inference copies its weights as it works."""
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURING], capture_output=True, text=True, check=True, timeout=PROGRAM_S
    )
    copies, kept = measured.stdout.split()
    assert float(copies) < 1.5
    assert kept == "True"


_MEASURING = """
import onnx
from onnx import helper
from collabd.partition import order

def peak():
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "large",
    [helper.make_tensor_value_info("x", 1, ["batch", 8192])],
    [helper.make_tensor_value_info("y", 1, ["batch", 8192])],
)
model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
weight = model.graph.initializer.add(name="w", dims=[8192, 8192], data_type=1, raw_data=bytes(4 * 8192**2))
before = peak()
ordered = order(model)
print((peak() - before) / len(weight.raw_data), ordered.graph.initializer[0] == weight)
"""


def test_contradicting_shapes_are_refused(model: Build) -> None:
    built = model([helper.make_node("Add", ["x", "w"], ["y"])], ["y"], {"w": np.zeros((5, 7), np.float32)})
    with pytest.raises(PartitionError, match="contradict"):
        annotate(built)


def test_an_operator_without_known_shapes_is_refused(model: Build) -> None:
    built = model([helper.make_node("Mystery", ["x"], ["y"], domain="nowhere")], ["y"])
    built.opset_import.add(domain="nowhere", version=1)
    with pytest.raises(PartitionError, match="'y'"):
        Network.from_proto(built)


@pytest.mark.parametrize(
    ("shape", "elements", "expected"),
    [
        ((None, 8, 4), 32, True),
        ((None,), 1, True),
        ((1, 8, 4), 32, False),  # a network that takes one image
        ((2, None, 4), 8, False),  # the batch is not the first axis
        ((None, None), 1, False),  # ... or not the only one
        ((None, 4), 8, False),  # two rows an image, in an order that only the graph knows
        ((), 1, False),
        ((4,), 4, False),  # a shape tensor, the same for all
    ],
)
def test_only_a_plain_batch_axis_stacks(shape: tuple[int | None, ...], elements: int, expected: bool) -> None:
    assert TensorInfo(name="x", dtype=np.dtype(np.float32), shape=shape, nbytes=elements * 4).stacks is expected
