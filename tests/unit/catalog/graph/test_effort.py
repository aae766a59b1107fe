"""Graphs that take too much: each is refused for its own reason, before it can cost anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.effort import Effort, effort, require_bounded, rows_together
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.partition import annotate
from tests.unit.catalog.hostile import graph_of, node, whole


@pytest.fixture
def stored(tiny_package: Package) -> onnx.ModelProto:
    """The tiny package's graph, to be changed."""
    return onnx.load(tiny_package.path / packages.MODEL)


LARGE = 1 << 20
# Six tensors of 246 MB.
CHAIN = [node("Expand", "float", "sizes", made="t0"), *(node("Relu", f"t{i}", made=f"t{i + 1}") for i in range(5))]


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ([node("ConstantOfShape", "sizes")], {"sizes": whole(LARGE, LARGE)}, "'made' takes"),
        ([node("Expand", "float", "sizes")], {"sizes": whole(LARGE, 1, 16, 16, 3)}, "'made' takes"),
        ([node("Tile", "float", "times")], {"times": whole(1, 1000, 1000, 1)}, "'made' takes"),
        (
            [node("Resize", "float", "", "scales", mode="nearest")],
            {"scales": np.array([1, 999, 999, 1], np.float32)},
            "'made' takes",
        ),
        ([node("Pad", "float", "pads")], {"pads": whole(0, LARGE, 0, 0, 0, 0, LARGE, 0)}, "'made' takes"),
        (
            [node("Cast", "float", made="index", to=TensorProto.INT64), node("OneHot", "index", "depth", "values")],
            {"depth": whole(1 << 30), "values": np.array([0, 1], np.float32)},
            "takes|does not follow",
        ),
        # As large as its values say: nobody can tell before.
        (
            [node("NonZero", "float", made="where"), node("Cast", "where", to=TensorProto.FLOAT)],
            {},
            "does not follow",
        ),
        (
            [
                node("ReduceMax", "float", made="value", keepdims=0),
                node("Cast", "value", made="size", to=TensorProto.INT64),
                node("Unsqueeze", "size", "zeroth", made="sizes"),
                node("ConstantOfShape", "sizes"),
            ],
            {"zeroth": whole(0)},
            "does not follow|cannot be inferred",
        ),
        # Each below the limit of one, together above that of all.
        (
            [*CHAIN, node("Sum", *(f"t{i}" for i in range(6)))],
            {"sizes": whole(80_000, 1, 16, 16, 3)},
            "the tensors alive at once for one image take 17[0-9]{8} bytes, more than 1073741824",
        ),
        # Computed from weights alone, and far larger than those that were sent.
        ([node("Tile", "few", "times")], {"few": np.zeros(64, np.float32), "times": whole(1 << 24)}, "'made' takes"),
        (
            [*(node("Tile", "few", "times", made=f"w{i}") for i in range(3)), node("Sum", "w0", "w1", "w2")],
            {"few": np.zeros(64, np.float32), "times": whole(1 << 19)},
            "the tensors computed from weights alone take 536[0-9]{6} bytes",
        ),
        ([node("StringNormalizer", "float")], {}, "contradict|sound"),
        (
            [node("SequenceConstruct", "float", made="s"), node("ConcatFromSequence", "s", axis=0)],
            {},
            "the size of 's' does not follow",
        ),
    ],
)
def test_what_is_not_bounded_is_refused(nodes: list[NodeProto], weights: dict[str, Any], reason: str) -> None:
    model = graph_of(nodes, **weights)
    with pytest.raises(InvalidPackage, match=reason):
        require_bounded(model)


def test_tensors_that_are_alive_one_after_another_count_one_after_another() -> None:
    nodes = [*CHAIN, node("ReduceMean", "t5", made="made")]
    model = annotate(graph_of(nodes, sizes=whole(80_000, 1, 16, 16, 3)))
    assert effort(require_bounded(model)).nbytes == pytest.approx(2 * 245_760_000, rel=0.01)


@pytest.mark.slow
def test_weights_count_once_and_not_as_tensors_of_an_image() -> None:
    """Those of VGG's first linear layer are 400 MB, stored as half of that."""
    widened = node("Cast", "half", made="wide", to=TensorProto.FLOAT)
    nodes = [widened, node("ReduceMax", "wide", made="most", keepdims=0), node("Mul", "float", "most")]
    model = annotate(graph_of(nodes, half=np.zeros((4, 17 << 20), np.float16)))
    assert effort(require_bounded(model)).nbytes < 1 << 20


def test_work_is_bounded() -> None:
    nodes = [
        node("ReduceMean", "float", made="one", keepdims=0),
        node("Add", "one", "start", made="varying"),
        node("Expand", "varying", "sizes", made="m0"),
        *(node("MatMul", f"m{i}", "square", made="made" if i == 14 else f"m{i + 1}") for i in range(15)),
    ]
    weights = {"start": np.zeros((1, 3000), np.float32), "sizes": whole(20_000, 3000)}
    model = annotate(graph_of(nodes, **weights, square=np.zeros((3000, 3000), np.float32)))
    with pytest.raises(InvalidPackage, match=r"2.7e\+12 multiply-accumulates, more than 1.2e\+12"):
        require_bounded(model)


@pytest.mark.parametrize(
    ("one", "rows"),
    [
        (Effort(macs=20 * 10**9, nbytes=30 << 20), 34),  # a VGG-19
        (Effort(macs=38 * 10**9, nbytes=250 << 20), 4),
        (Effort(macs=5 * 10**11, nbytes=400 << 20), 2),
        (Effort(macs=2 * 10**12, nbytes=1 << 30), 1),
        (Effort(macs=0, nbytes=0), 1 << 30),
    ],
)
def test_a_run_of_several_images_takes_no_more_than_one_image_may(one: Effort, rows: int) -> None:
    assert rows_together(one) == rows


def test_a_false_statement_about_a_shape_is_refused(stored: onnx.ModelProto) -> None:
    value = next(value for value in stored.graph.value_info if value.name == "conv1" or len(_sizes(value)) == 4)
    value.type.tensor_type.shape.dim[1].dim_value = 1
    with pytest.raises(InvalidPackage, match="states one shape"):
        require_bounded(stored)


def _sizes(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
