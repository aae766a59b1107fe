"""Networks that the engine's tests run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.partition import Network

MakeNetwork = Callable[..., Network]


@pytest.fixture(scope="session")
def make_network() -> MakeNetwork:
    """A network from nodes with output `y`; its input `x` is float32 [batch, 8] unless `inputs` says otherwise."""

    def make(
        nodes: Sequence[onnx.NodeProto],
        weights: Mapping[str, np.ndarray],
        inputs: Mapping[str, tuple[int, Sequence[int | str]]] | None = None,
    ) -> Network:
        ports = inputs or {"x": (TensorProto.FLOAT, ["batch", 8])}
        graph = helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in ports.items()],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        return Network.from_proto(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]))

    return make


@pytest.fixture(scope="session")
def mlp(make_network: MakeNetwork) -> Network:
    """x [batch, 8] → a [batch, 16] → b → y [batch, 4]; `a` is added to `b`, so both are alive between them."""
    rng = np.random.default_rng(4)
    return make_network(
        [
            helper.make_node("MatMul", ["x", "first"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["c"]),
            helper.make_node("MatMul", ["c", "second"], ["y"]),
        ],
        {
            "first": rng.standard_normal((8, 16)).astype(np.float32),
            "second": rng.standard_normal((16, 4)).astype(np.float32),
        },
    )
