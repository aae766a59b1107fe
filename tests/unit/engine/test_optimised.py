"""What the engine relies on in ONNX Runtime: that it hands out the graph and the weights that it would use itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.engine.optimised import optimised
from collabd.partition import Network

RNG = np.random.default_rng(12)


@pytest.fixture
def network() -> Network:
    """A depthwise and a pointwise convolution, as the blocked layout takes them, and a product."""
    weights = {
        "depthwise": RNG.standard_normal((32, 1, 3, 3)).astype(np.float32),
        "pointwise": RNG.standard_normal((64, 32, 1, 1)).astype(np.float32),
        "classes": RNG.standard_normal((64, 16)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "depthwise"], ["a"], group=32, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "pointwise"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("MatMul", ["e", "classes"], ["y"]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32, 14, 14])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [image], [scores], held)
    return Network.from_proto(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]))


def operators(model: onnx.ModelProto) -> Counter[tuple[str, str]]:
    return Counter((node.domain, node.op_type) for node in model.graph.node)


def test_it_has_the_operators_that_a_session_of_the_runtime_has(network: Network, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    graph = helper.make_graph(
        network.graph.nodes,
        "g",
        [network._values["x"]],
        [network._values["y"]],
        [numpy_helper.from_array(array, name) for name, array in network.weights.items()],
    )
    whole = helper.make_model(graph, ir_version=10, opset_imports=network._frame.opset_import)
    ort.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = optimised(network.subgraph(["x"], ["y"]))
    assert operators(onnx.load_from_string(found.model)) == operators(onnx.load(options.optimized_model_filepath))


def test_heads_and_tails_have_the_weights_of_the_whole(network: Network) -> None:
    whole, head, tail = (
        optimised(network.subgraph(inputs, outputs)).weights.values()
        for inputs, outputs in ((["x"], ["y"]), (["x"], ["b"]), (["b"], ["y"]))
    )
    assert {id(array) for array in whole} == {id(array) for array in (*head, *tail)}
    assert sum(array.nbytes for array in whole) == 32 * 9 * 4 + 64 * 32 * 4 + 64 * 16 * 4
