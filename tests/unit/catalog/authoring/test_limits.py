"""Networks that cannot be cut, or that no companion takes, are packages all the same, and it is said why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.package.package import Package
from collabd.catalog.trial.inspection import inspect
from collabd.engine import Engine

node = helper.make_node
WEIGHTS = [
    numpy_helper.from_array(np.random.default_rng(0).standard_normal(shape).astype(np.float32), name)
    for name, shape in {"w": (4, 3, 3, 3), "w2": (2, 4, 3, 3)}.items()
]
CONV = node("Conv", ["x", "w"], ["c"])
SINGLE_LAYER = [node("Relu", ["x"], ["y"])]
RANDOM = [
    CONV,
    node("RandomNormalLike", ["c"], ["noise"]),
    node("Mul", ["noise", "zero"], ["none"]),
    node("Add", ["c", "none"], ["y"]),
]
SEQUENCE = [
    CONV,
    node("SplitToSequence", ["c"], ["parts"], axis=1),
    node("ConcatFromSequence", ["parts"], ["joined"], axis=1),
    node("Conv", ["joined", "w2"], ["e"]),
    node("GlobalAveragePool", ["e"], ["y"]),
]
ACTIVATED = [CONV, node("Relu", ["c"], ["y"])]
COMPUTED = [
    CONV,
    node("NonZero", ["c"], ["where"]),
    node("Cast", ["where"], ["f"], to=1),
    node("ReduceMax", ["f"], ["y"]),
]


def graph(nodes: Sequence[onnx.NodeProto], shape: Sequence[Any]) -> onnx.ModelProto:
    weights = [*WEIGHTS, numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    read = {name for each in nodes for name in each.input}
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight for weight in weights if weight.name in read],
    )
    model: onnx.ModelProto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model


def added(model: onnx.ModelProto, folder: Path) -> tuple[Package, list[str]]:
    """The package of a file, and what was said while it was built."""
    onnx.save(model, folder / "net.onnx")
    imported = resolve(str(folder / "net.onnx"), ImportOptions(mean=(0, 0, 0), std=(1, 1, 1)))
    said: list[str] = []
    package = build(
        imported.model,
        name=imported.name,
        task=imported.task,
        picture=imported.picture,
        licence=imported.licence,
        provenance=imported.provenance,
        tell=said.append,
        out=folder / "package",
    )
    return package, said


def check_whole(package: Package, model: onnx.ModelProto) -> None:
    """The whole network answers as the file does."""
    image = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": (image / np.float32(255)).transpose(0, 3, 1, 2)})
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("net", package.network())
    (output,) = package.manifest.outputs
    found = engine.run("net", {"image": image}, [output.name])[output.name]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("nodes", "shape", "why"),
    [
        (SINGLE_LAYER, ["N", 3, 16, 16], "it has a single layer"),
        (ACTIVATED, ["N", 4, 14, 14], "an activation follows"),
    ],
    ids=["single layer", "activation"],
)
def test_what_cannot_be_cut_runs_at_both_ends(
    nodes: list[onnx.NodeProto], shape: list[Any], why: str, tmp_path: Path
) -> None:
    model = graph(nodes, shape)
    package, said = added(model, tmp_path)
    assert [cut.name for cut in package.manifest.cuts] == ["image"]
    (reason,) = [line for line in said if "cannot be cut" in line]
    assert reason.startswith("it cannot be cut, so all of it runs on the device or on a companion: ")
    assert why in reason
    inspect(package)
    check_whole(package, model)


@pytest.mark.parametrize(
    ("nodes", "shape", "why"),
    [
        (RANDOM, ["N", 4, 14, 14], "RandomNormalLike draws random numbers"),
        (SEQUENCE, ["N", 2, 1, 1], "the size of 'parts' does not follow from the graph alone"),
        (COMPUTED, [1, 1], "does not follow from the graph alone"),
    ],
    ids=["random", "sequence", "computed size"],
)
def test_what_a_companion_refuses_is_said_and_runs_on_the_device(
    nodes: list[onnx.NodeProto], shape: list[Any], why: str, tmp_path: Path
) -> None:
    model = graph(nodes, shape)
    package, said = added(model, tmp_path)
    (reason,) = [line for line in said if "companion refuses" in line]
    assert reason.startswith("a companion refuses it, so the whole network always runs on the device: ")
    assert why in reason
    with pytest.raises(InvalidPackage, match=why):
        inspect(package)
    check_whole(package, model)
