"""The size of the batch is read close to its use, so that it crosses no cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from collabd.catalog.authoring.batch_size import localise
from collabd.catalog.graph.batching import crossing, hindrance
from collabd.partition import Network, order
from tests.original import reference_scores

SIDE = 8


def node(op: str, *inputs: str, made: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [made], **attributes)


def graph_of(asked: NodeProto, *sizes: NodeProto) -> onnx.ModelProto:
    """A class token, made for each image with "sizes", behind two convolutions, as a vision transformer has it."""
    rng = np.random.default_rng(1)
    nodes = [
        asked,
        node("Transpose", "image", made="planes", perm=[0, 3, 1, 2]),
        node("Cast", "planes", made="float", to=TensorProto.FLOAT),
        node("Conv", "float", "first", made="wide", strides=[2, 2]),
        node("Conv", "wide", "second", made="narrow", strides=[2, 2]),
        *sizes,
        node("Expand", "token", "sizes", made="tokens"),
        node("Reshape", "narrow", "rows", made="patches"),
        node("Concat", "tokens", "patches", made="all", axis=1),
        node("ReduceMean", "all", made="mean", axes=[1], keepdims=0),
        node("MatMul", "mean", "classes", made="scores"),
    ]
    weights = {
        "first": rng.normal(size=(4, 3, 2, 2)),
        "second": rng.normal(size=(4, 4, 2, 2)),
        "token": rng.normal(size=(1, 1, 4)),
        "classes": rng.normal(size=(4, 3)),
    }
    whole = {"rows": [-1, 4, 4], "ones": [1, 1], "zeroth": [0], "zero": 0}
    graph = helper.make_graph(
        nodes,
        "token",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
        + [numpy_helper.from_array(np.array(value), name) for name, value in whole.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


ASKED = node("Shape", "image", made="n", start=0, end=1)
AT_ONCE = graph_of(ASKED, node("Concat", "n", "ones", made="sizes", axis=0))
BY_WAY = graph_of(
    ASKED,
    node("Squeeze", "n", made="scalar"),
    node("Unsqueeze", "scalar", "zeroth", made="again"),
    node("Concat", "again", "ones", made="sizes", axis=0),
)


@pytest.mark.parametrize("model", [AT_ONCE, BY_WAY])
def test_only_what_stacks_crosses_the_cuts(model: onnx.ModelProto) -> None:
    before, after = Network.from_proto(order(model)), Network.from_proto(order(localise(model)))
    assert hindrance(before, crossing(before)) == "has no entry for each image along the first axis of n"
    assert hindrance(after, crossing(after)) is None
    assert {"wide", "narrow"} & set(crossing(after))


@pytest.mark.parametrize("model", [AT_ONCE, BY_WAY])
@pytest.mark.parametrize("images", [1, 3])
def test_the_scores_stay_the_same(model: onnx.ModelProto, images: int) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    before, after = (reference_scores(each, pixels) for each in (model, localise(model)))
    np.testing.assert_array_equal(before, after)


def test_a_graph_that_does_not_ask_for_it_is_left_alone(tiny_model: onnx.ModelProto) -> None:
    assert localise(tiny_model) is tiny_model
