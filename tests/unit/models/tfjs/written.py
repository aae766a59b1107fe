"""Small TensorFlow.js graph models, written here as their converter writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from models.tfjs import convert, parse


def text(word: str) -> dict[str, str]:
    return {"s": base64.b64encode(word.encode()).decode()}


def integers(*values: int) -> dict[str, dict[str, list[str]]]:
    return {"list": {"i": [str(value) for value in values]}}


class Written:
    """A graph in the making, and its weights."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.manifest: list[dict[str, Any]] = []
        self.weights = b""

    def image(self, *sizes: int) -> str:
        shape = {"shape": {"dim": [{"size": str(size)} for size in sizes]}}
        return self.node("Placeholder", [], "x", shape=shape)

    def constant(self, name: str, values: Any, *, half: bool = False) -> str:
        array = np.asarray(values)
        kind = "float32" if array.dtype.kind == "f" else "int32"
        self.weights += array.astype(np.float16 if half else kind).tobytes()
        entry: dict[str, Any] = {"name": name, "shape": array.shape, "dtype": kind}
        if half:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        self.manifest.append(entry)
        return self.node("Const", [], name)

    def node(self, operator: str, reads: Sequence[str], name: str = "y", **attributes: Any) -> str:
        self.nodes.append({"name": name, "op": operator, "input": list(reads), "attr": attributes})
        return name

    def json(self) -> bytes:
        model = {
            "format": "graph-model",
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["weights.bin"], "weights": self.manifest}],
        }
        return json.dumps(model).encode()

    def run(self, image: np.ndarray, outputs: Mapping[str, str] | None = None) -> list[np.ndarray]:
        """The outputs of the converted graph, computed by ONNX Runtime."""
        model = convert(parse(self.json(), self.weights), outputs or {"y": "out"})
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        found: list[np.ndarray] = session.run(None, {"x": image.astype(np.float32)})
        return found
