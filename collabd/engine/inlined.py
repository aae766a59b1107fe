"""A part of a network whose weights are all constants, as providers other than the CPU's want it.

They keep their own copy in a form or a memory of their own, and would copy a weight that is an input for each run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx


class Inlined(NamedTuple):
    """As `Part`, with no weights besides the constants."""

    model: bytes
    constants: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def inlined(model: bytes, constants: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> Inlined:
    """The part with these parts of its own."""
    if not weights:
        return Inlined(model, constants, {})
    changed = onnx.load_model_from_string(model)
    kept = [value for value in changed.graph.input if value.name not in weights]
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    changed.graph.initializer.extend(_declared(*each) for each in weights.items())
    return Inlined(changed.SerializeToString(), {**constants, **weights}, {})


def _declared(name: str, array: np.ndarray) -> onnx.TensorProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=kind)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="memory")
    return tensor
