"""What is done to any graph of other people, whatever its task: it is written anew, and must still answer the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.foreign.control import folded
from collabd.catalog.authoring.foreign.quantised import unsigned
from collabd.catalog.authoring.foreign.standard import standard
from collabd.catalog.authoring.foreign.widths import has_halves, widened
from collabd.catalog.authoring.sessions import outputs_of
from collabd.catalog.graph.operator_sets import lowered, opset_of
from collabd.catalog.graph.tensors import require_writable

# How far an output may be off, as a part of its range. A graph that is only written differently is off by 1e-6.
LARGEST_ERROR = 1e-3


def standardised(model: onnx.ModelProto, notes: list[str]) -> onnx.ModelProto:
    """`model` in ONNX's own operators, computed in float32, with quantised features as uint8."""
    return unsigned(_widened(standard(model), notes))


def brought_down(
    model: onnx.ModelProto, *, feeds: Mapping[str, np.ndarray], expected: Mapping[str, object], notes: list[str]
) -> onnx.ModelProto:
    """`model` in the operators that all devices have, with as little control flow as possible.

    Raises `InvalidPackage` if it no longer makes `expected` of `feeds`.
    """
    lower = lowered(model)
    if opset_of(lower) != opset_of(model):
        notes.append(f"its opset {opset_of(model)} is converted to {opset_of(lower)}")
    lower, control = folded(lower, feeds)
    if control:
        notes.append(control)
    found = outputs_of(lower, feeds)
    if not all(_is_same(value, found[name]) for name, value in expected.items()):
        raise InvalidPackage(
            "written in the operators that all devices have, the graph no longer gives the same: export it with "
            "opset 21 or older, and without functions and control flow"
        )
    return lower


def feeds_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Noise for each input, of as many images as the graph takes at once. All sizes but those of the batch are fixed.

    Wide integers are mostly sizes or indices, and get ones.
    """
    rng = np.random.default_rng(0)

    def noise(value: onnx.ValueInfoProto) -> np.ndarray:
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if dtype == np.uint8:
            return rng.integers(0, 256, shape, dtype=np.uint8)
        return rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)

    return {value.name: noise(value) for value in model.graph.input}


def _widened(model: onnx.ModelProto, notes: list[str]) -> onnx.ModelProto:
    if not has_halves(model):
        return model
    wide = widened(model)
    require_writable(wide)
    notes.append("its half floats become float32")
    return wide


def _is_same(expected: object, found: object) -> bool:
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return False
    if expected.dtype.kind != "f":
        return np.array_equal(expected, found)
    span = np.ptp(expected[np.isfinite(expected)]) if np.isfinite(expected).any() else 0.0
    return np.allclose(found, expected, rtol=LARGEST_ERROR, atol=LARGEST_ERROR * span, equal_nan=True)
