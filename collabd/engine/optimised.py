"""A part of a network in the form that this machine runs, with weights that all sessions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime as ort

from .shared_arrays import SharedArrays

# Smaller weights stay in the graph, of which each session has its own.
_INLINE_BYTES = 1024
_SHARED = SharedArrays()
_SHAREABLE = frozenset(f"tensor({name})" for name in ("float", "double", "float16", "int8", "uint8", "int32", "int64"))


class Part(Protocol):
    """A part of a network: a serialised ONNX model with its large weights beside it, by name.

    ``constants`` are initializers that the model declares as external data. The model is ``flat`` if it has no nested
    graphs (If, Loop, Scan).
    """

    @property
    def model(self) -> bytes: ...  # noqa: D102
    @property
    def constants(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102
    @property
    def flat(self) -> bool: ...  # noqa: D102


class Optimised(NamedTuple):
    """A part behind the runtime's optimisation. ``weights`` are initializers that ``model`` declares as external."""

    model: bytes
    weights: dict[str, np.ndarray]


def optimised(part: Part) -> Optimised:
    """Optimise `part` for this processor, and take the weights out of it. Raises what the runtime raises.

    A session that optimises for itself has a copy of every weight that it rearranges: on x86-64, those of all
    convolutions, for the blocked layout (without which depthwise convolutions take 2.5 times as long). But heads and
    tails rearrange the same weights in the same way, so one copy is enough for all of them.
    """
    weights: dict[str, np.ndarray] = {}

    def outside(name: str, value: ort.OrtValue, _: object) -> ort.OrtExternalInitializerInfo | None:
        # Those of nested graphs cannot be given to a session.
        if not part.flat or value.tensor_size_in_bytes() <= _INLINE_BYTES or value.data_type() not in _SHAREABLE:
            return None
        weights[name] = _SHARED.shared(value.numpy())
        return ort.OrtExternalInitializerInfo("memory", 0, weights[name].nbytes)

    options = ort.SessionOptions()
    # Failures become EngineError; the runtime's own lines on stderr would only double them.
    options.log_severity_level = 4
    given = values_of(part.constants)
    options.add_external_initializers(list(given), list(given.values()))
    everything = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    compiler = ort.ModelCompiler(
        options, part.model, graph_optimization_level=everything, get_initializer_location_func=outside
    )
    return Optimised(compiler.compile_to_bytes(), weights)


def values_of(arrays: Mapping[str, np.ndarray]) -> dict[str, ort.OrtValue]:
    """The arrays as the runtime's values, which hold them and read them where they are."""
    return {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
