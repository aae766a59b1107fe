"""What a graph from a stranger may not hold: each is refused for its own reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.trial.plain_graph import read_plain

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def stored(tiny_package: Package) -> onnx.ModelProto:
    """The tiny package's graph, to be changed."""
    return onnx.load(tiny_package.path / packages.MODEL)


def refuse_plain(model: onnx.ModelProto, match: str) -> None:
    with pytest.raises(InvalidPackage, match=match):
        read_plain(model.SerializeToString())


def _add_function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], body, [helper.make_opsetid("", 20)]))


def _nest(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["logits"], ["again"], body=body))


def _sparse_attribute(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="Constant", output=["gigabytes"])
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [1 << 40])
    node.attribute.append(helper.make_attribute("sparse_value", sparse))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"), "not one of ONNX's own"),
        (lambda model: model.opset_import.append(helper.make_opsetid("com.acme", 1)), "'com.acme' 1"),
        (lambda model: setattr(model.opset_import[0], "version", 6), "7 or newer"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "opset 99"),
        (lambda model: setattr(model, "ir_version", 99), "IR version 99"),
        (_add_function, "functions"),
        (lambda model: model.training_info.add(), "training"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse weights"),
        (_sparse_attribute, "sparse weights"),
        (_nest, "graph inside"),
        (lambda model: model.graph.node.append(helper.make_node("RandomNormal", [], ["r"], shape=[3])), "random"),
        (lambda model: setattr(model.graph.node[0], "name", "n" * 513), "513|512 characters"),
        (lambda model: setattr(model.graph.initializer[0], "name", "n" * 513), "512 characters"),
        (lambda model: model.graph.node.extend([NodeProto()] * 10_001), "more than 10000 nodes"),
    ],
)
def test_what_is_not_plain_is_refused(stored: onnx.ModelProto, change: Change, reason: str) -> None:
    change(stored)
    refuse_plain(stored, reason)


def test_a_graph_nested_too_deeply_to_read_is_refused() -> None:
    data = b""
    for _ in range(2000):  # GraphProto in AttributeProto in NodeProto in GraphProto
        for field in (6, 5, 1):
            data = bytes([field << 3 | 2]) + _varint(len(data)) + data
    with pytest.raises(InvalidPackage, match="not a sound ONNX graph"):
        read_plain(b"\x3a" + _varint(len(data)) + data)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)
