"""Graphs in which the images of a batch change one another, each in its own way, and such as only look like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.build import build
from collabd.catalog.graph.batching import crossing, hindrance
from collabd.catalog.package import package as packages
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.trial.apart import try_apart
from collabd.engine import Engine
from collabd.partition import Network, annotate, order
from tests.original import reference_scores

SIDE = 16


def node(op: str, *inputs: str, made: str = "made", **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [made], **attributes)


def graph_of(*nodes: NodeProto, **weights: Any) -> onnx.ModelProto:
    """uint8 [batch, 16, 16, 3] by way of `nodes`, from "features" to "made", [batch, 4, 8, 8], to 3 scores."""
    rng = np.random.default_rng(3)
    before = [
        node("Transpose", "image", made="planes", perm=[0, 3, 1, 2]),
        node("Cast", "planes", made="float", to=TensorProto.FLOAT),
        node("Mul", "float", "per255", made="scaled"),
        node("Conv", "scaled", "kernels", made="features", strides=[2, 2], pads=[0, 0, 1, 1]),
    ]
    after = [
        node("Relu", "made", made="active"),
        node("MaxPool", "active", made="pooled", kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", "pooled", made="flat"),
        node("MatMul", "flat", "classes", made="scores"),
    ]
    weights |= {
        "per255": np.float32(1 / 255),
        "kernels": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "classes": rng.normal(size=(16, 3)).astype(np.float32),
        "ones": np.ones(4, np.float32),
        "zeros": np.zeros(4, np.float32),
        "axis0": np.array([0]),
    }
    graph = helper.make_graph(
        [*before, *nodes, *after],
        "rows",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


MIXING = {
    "statistics of the batch": graph_of(
        helper.make_node(
            "BatchNormalization", ["features", "ones", "zeros", "zeros", "ones"], ["made", "m", "v"], training_mode=1
        )
    ),
    "a mean over the batch": graph_of(
        node("ReduceMean", "features", made="mean", axes=[0]), node("Sub", "features", "mean")
    ),
    "a sum along the batch": graph_of(node("CumSum", "features", "zeroth"), zeroth=np.int32(0)),
    "a sum from behind": graph_of(node("CumSum", "features", "zeroth", reverse=1), zeroth=np.int32(0)),
    "a softmax over the batch": graph_of(node("Softmax", "features", axis=0)),
    "the brightest of the batch": graph_of(
        node("ReduceMax", "features", made="most", keepdims=0), node("Div", "features", "most")
    ),
    "rows that are read across": graph_of(
        node("Transpose", "features", made="turned", perm=[1, 0, 2, 3]),
        node("Shape", "features", made="sizes"),
        node("Reshape", "turned", "sizes"),
    ),
    "the size of the batch": graph_of(
        node("Shape", "features", made="sizes"),
        node("Gather", "sizes", "axis0", made="size"),
        node("Cast", "size", made="factor", to=TensorProto.FLOAT),
        node("Mul", "features", "factor"),
    ),
    "a scale for the whole batch": graph_of(
        helper.make_node("DynamicQuantizeLinear", ["features"], ["q", "scale", "zero"]),
        node("DequantizeLinear", "q", "scale", "zero"),
    ),
    "a size written down": graph_of(node("Reshape", "features", "sizes"), sizes=np.array([1, 4, 8, 8])),
}

APART = {
    "none": graph_of(node("Identity", "features")),
    "running statistics": graph_of(node("BatchNormalization", "features", "ones", "zeros", "zeros", "ones")),
    "statistics of the image": graph_of(node("InstanceNormalization", "features", "ones", "zeros")),
    "8 bits": graph_of(
        node("QuantizeLinear", "features", "step", "middle", made="q"),
        node("DequantizeLinear", "q", "step", "middle"),
        step=np.float32(0.03),
        middle=np.uint8(128),
    ),
    "there and back": graph_of(
        node("Reshape", "features", "rows", made="halves"),
        node("Softmax", "halves", made="soft", axis=-1),
        node("Reshape", "soft", "images"),
        rows=np.array([-1, 64]),
        images=np.array([-1, 4, 8, 8]),
    ),
    "not a number": graph_of(node("Log", "features")),
}


def network_of(model: onnx.ModelProto) -> Network:
    return Network.from_proto(order(model))


def built(model: onnx.ModelProto, out: Path, **changes: Any) -> packages.Package:
    statement: dict[str, Any] = {
        "name": "rows",
        "task": Classify(labels=tuple("abc")),
        "picture": Picture(height=SIDE, width=SIDE),
        "licence": "CC0-1.0",
        "provenance": "made for the tests",
    }
    return build(model, **statement | changes, out=out / "rows")


@pytest.mark.parametrize("kind", MIXING)
def test_images_that_change_one_another_run_one_at_a_time(kind: str, tmp_path: Path) -> None:
    model, told = MIXING[kind], list[str]()
    package = built(model, tmp_path, tell=told.append)
    assert not package.manifest.dynamic_batch
    assert "images run one at a time and never join in a batch, because the graph " in told[0]
    images = np.random.default_rng(4).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("rows", package.network())
    found = [engine.run("rows", {"image": image[np.newaxis]}, ["scores"])["scores"] for image in images]
    np.testing.assert_allclose(np.concatenate(found), reference_scores(model, images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", APART)
def test_images_that_stay_apart_run_together(kind: str) -> None:
    network = network_of(APART[kind])
    assert hindrance(network, crossing(network)) is None


def test_what_cancels_out_at_the_end_is_seen_at_a_cut() -> None:
    model = graph_of(
        node("ReduceMean", "features", made="mean", axes=[0]),
        node("Sub", "features", "mean", made="apart"),
        node("Relu", "apart"),
    )
    model.graph.node[-1].input[1] = "nothing"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((16, 3), np.float32), "nothing"))
    network = network_of(model)
    assert "change one another" in str(hindrance(network, crossing(network)))


def test_a_package_that_claims_it_may_be_joined_and_may_not_is_refused(tmp_path: Path) -> None:
    sound = built(APART["none"], tmp_path)
    manifest = msgspec.structs.replace(sound.manifest, cuts=sound.manifest.cuts[:1], layers=sound.manifest.layers[-1:])
    graph = annotate(order(MIXING["a mean over the batch"])).SerializeToString()
    lying = packages.write(tmp_path / "lying", manifest, model=graph, licence="CC0-1.0")
    with pytest.raises(InvalidPackage, match=r"says that images may run together, but .* change one another"):
        try_apart(lying.path)
