"""A part of a network in the form that this machine runs, with weights that all sessions share."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime as ort

from .errors import EngineError
from .shared_arrays import SharedArrays

# Smaller weights stay in the graph, of which each session has its own.
_INLINE_BYTES = 1024
# Weights that may be packed for every session, whatever they are.
_SMALL_BYTES = 1 << 20
_SHARED = SharedArrays()
_DTYPES: dict[str, np.dtype] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    **{f"tensor({name})": np.dtype(name) for name in ("int8", "uint8", "int32", "int64")},
}


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
    """A part behind the runtime's optimisation. ``weights`` are initializers that ``model`` declares as external.

    ``packs``: whether a session packs weights for its matrix products, each session its own ``constant_bytes`` at most.
    """

    model: bytes
    weights: dict[str, np.ndarray]
    packs: bool
    constant_bytes: int


def optimised(part: Part) -> Optimised:
    """Optimise `part` for this processor, and take the weights out of it; EngineError if the runtime refuses it.

    A session that optimises for itself has a copy of every weight that it rearranges: on x86-64, those of all
    convolutions, for the blocked layout (without which depthwise convolutions take 2.5 times as long). But heads and
    tails rearrange the same weights in the same way, so one copy is enough for all of them.
    """
    weights: dict[str, np.ndarray] = {}

    def outside(name: str, value: ort.OrtValue, _: object) -> ort.OrtExternalInitializerInfo | None:
        # Those of nested graphs cannot be given to a session.
        if not part.flat or value.tensor_size_in_bytes() <= _INLINE_BYTES or value.data_type() not in _DTYPES:
            return None
        weights[name] = _SHARED.shared(_seen(value))
        return ort.OrtExternalInitializerInfo("memory", 0, weights[name].nbytes)

    options = ort.SessionOptions()
    # It runs nothing. A pool of threads would also be pinned to cores, which the sandbox forbids.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Failures become EngineError; the runtime's own lines on stderr would only double them.
    options.log_severity_level = 4
    given = values_of(part.constants)
    options.add_external_initializers(list(given), list(given.values()))
    everything = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    try:
        compiler = ort.ModelCompiler(
            options, part.model, graph_optimization_level=everything, get_initializer_location_func=outside
        )
        model = compiler.compile_to_bytes()
    except Exception as error:
        raise EngineError(f"ONNX Runtime refuses this part of the network: {error}") from error
    constants = part.constants.values()
    return Optimised(model, weights, _packs(constants), sum(array.nbytes for array in constants))


def _packs(constants: Collection[np.ndarray]) -> bool:
    """Whether packing is worth its memory.

    In a convolutional network it gains nothing: its one large product, for the classes, is of a single row. But it
    takes 5 MB for each tail of EfficientNet-Lite0. What it gains for quantised weights was
    not measured: they are packed, as the runtime does by default.
    """
    is_quantised = any(array.dtype.itemsize == 1 for array in constants)
    return is_quantised or sum(array.nbytes for array in constants) <= _SMALL_BYTES


def _seen(value: ort.OrtValue) -> np.ndarray:
    """The runtime's own memory of a tensor, which ends with `value`. It holds three copies already at that moment."""
    dtype: np.dtype = _DTYPES[value.data_type()]
    memory = (ctypes.c_uint8 * value.tensor_size_in_bytes()).from_address(value.data_ptr())
    return np.ndarray(tuple(value.shape()), dtype, memory)


def values_of(arrays: Mapping[str, np.ndarray]) -> dict[str, ort.OrtValue]:
    """The arrays as the runtime's values, which hold them and read them where they are."""
    return {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
