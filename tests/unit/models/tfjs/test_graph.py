from __future__ import annotations

import re

import numpy as np
import pytest

from collab_sdk.errors import InvalidPackage
from models.tfjs import convert, parse
from tests.unit.models.tfjs.written import Written


def doubling() -> Written:
    graph = Written()
    graph.node("Mul", [graph.image(1, 2), graph.constant("two", np.array([2, 0.5]), half=True)])
    return graph


def test_half_weights_become_float32_and_the_batch_is_open() -> None:
    graph = doubling()
    parsed = parse(graph.json(), graph.weights)
    assert str(parsed.weights["two"].dtype) == "float32"
    assert len(graph.weights) == 4
    assert graph.run(np.ones((3, 2)))[0].tolist() == [[2, 0.5]] * 3
    (output,) = convert(parsed, {"y": "out"}).graph.output
    assert output.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_nodes_may_stand_before_those_that_they_read() -> None:
    graph = doubling()
    graph.nodes.reverse()
    assert graph.run(np.ones((1, 2)))[0].tolist() == [[2, 0.5]]


@pytest.mark.parametrize(
    ("operator", "reads", "message"),
    [
        ("Softmax", ["x"], "y is a Softmax; models/tfjs/operators.py converts only Add, AddN, "),
        ("Relu", ["z"], "the graph has no node z"),
        ("Relu", ["x:1"], "x has no output x:1"),
        ("Relu", ["y"], "the graph runs in a circle: y → y"),
        ("Const", [], "there are no weights for y"),
    ],
)
def test_what_the_graph_lacks_is_named(operator: str, reads: list[str], message: str) -> None:
    graph = Written()
    graph.image(1, 2)
    graph.node(operator, reads)
    with pytest.raises(InvalidPackage, match=re.escape(message)):
        convert(parse(graph.json(), graph.weights), {"y": "out"})


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        (b"{}", b"", "no TensorFlow.js graph model"),
        (b"\xff", b"", "no TensorFlow.js graph model"),
        (doubling().json().replace(b"graph-model", b"layers-model"), b"", "holds a layers-model"),
        (doubling().json().replace(b'"dtype": "float16"', b'"dtype": "uint8"'), b"", "two is stored as uint8"),
        (doubling().json(), b"\0\0\0", "end at byte 3, within two"),
        (doubling().json(), b"\0" * 6, "describes 4 bytes of weights, but there are 6"),
    ],
)
def test_files_that_do_not_fit_are_refused(model: bytes, weights: bytes, message: str) -> None:
    with pytest.raises(InvalidPackage, match=message):
        parse(model, weights)
