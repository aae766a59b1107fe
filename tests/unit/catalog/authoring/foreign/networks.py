"""Small classifiers as other tools write them, and whether one answers as its file does, whole and cut."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import Imported, ImportOptions, resolve
from collabd.catalog.package.package import Package
from collabd.engine import Engine
from tests.plain_session import plain_session

SIDE, CLASSES = 24, 6
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
Size = int | str | None


def array(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    """A weight of the spread that trained ones have."""
    rng = np.random.default_rng([seed, *name.encode()])
    values = rng.standard_normal(shape) * sqrt(2 / max(1, prod(shape[1:])))
    return numpy_helper.from_array(values.astype(np.float32), name)


def body(channels: int = 3, x: str = "x") -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Float planes `x` to `logits`: three convolutions, one of them beside a shortcut, and a linear layer."""
    node = helper.make_node
    nodes = [
        node("Conv", [x, "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        node("Add", ["c2", "r1"], ["a"]),
        node("Relu", ["a"], ["r2"]),
        node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p", "w3", "b3"], ["c3"], pads=[1, 1, 1, 1]),
        node("Relu", ["c3"], ["r3"]),
        node("GlobalAveragePool", ["r3"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "wf", "bf"], ["logits"], transB=1),
    ]
    weights = [
        array("w1", 8, channels, 3, 3), array("b1", 8), array("w2", 8, 8, 3, 3), array("b2", 8),
        array("w3", 16, 8, 3, 3), array("b3", 16), array("wf", CLASSES, 16), array("bf", CLASSES),
    ]  # fmt: skip
    return nodes, weights


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    *,
    shape: Sequence[Size] = ("N", 3, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    opset: int = 17,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """A model from `x` to `logits`, or to `outputs`."""
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", kind, list(shape))], outputs or [scores()], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def scores(name: str = "logits", shape: Sequence[Size] = ("N", CLASSES), kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def plain(**changes: Any) -> onnx.ModelProto:
    """The body between float planes and scores; `changes` are of `model`."""
    return model(*body(), **changes)


def file(network: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(network.SerializeToString())
    return path


def photo(seed: int = 1, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def normalised(image: np.ndarray) -> np.ndarray:
    """[1, height, width, 3] as a float network takes it."""
    found: np.ndarray = ((image / 255 - MEAN) / STD).astype(np.float32)
    return found


def planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def answer(network: onnx.ModelProto | Path, x: np.ndarray, output: str | None = None) -> np.ndarray:
    """What ONNX Runtime makes of `x` with the network as it is given, as one row."""
    data = str(network) if isinstance(network, Path) else network.SerializeToString()
    session = plain_session(data)
    found = session.run([output] if output else None, {session.get_inputs()[0].name: x})[0]
    row: np.ndarray = np.asarray(found, np.float32).reshape(1, -1)
    return row


def taken(path: Path, **options: Any) -> Imported:
    return resolve(str(path), ImportOptions(mean=MEAN, std=STD, **options))


def built(imported: Imported, folder: Path) -> Package:
    return build(
        imported.model,
        name=imported.name,
        task=imported.task,
        picture=imported.picture,
        licence=imported.licence,
        provenance=imported.provenance,
        out=folder / "package",
    )


def whole_and_cut(package: Package, image: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The package's scores for an image, and those of head and tail at every candidate cut."""
    manifest = package.manifest
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("net", package.network())
    (source,), (output,) = manifest.input_names, manifest.output_names
    whole = engine.run("net", {source: image}, [output])[output]
    cut = {}
    for spec in manifest.cuts[1:]:
        features = engine.run("net", {source: image}, spec.tensors)
        cut[spec.name] = engine.run("net", features, [output])[output]
    return whole, cut


def check(package: Package, image: np.ndarray, expected: np.ndarray, tolerance: float = 1e-3) -> None:
    """The package answers as expected within `tolerance` of the range of the scores, whole and at every cut."""
    whole, cut = whole_and_cut(package, image)
    span = np.ptp(expected) or 1.0
    assert np.abs(whole - expected).max() <= tolerance * span
    assert cut
    for name, found in cut.items():
        assert np.abs(found - whole).max() <= 1e-5 * span, name
