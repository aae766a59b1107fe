"""Sessions of ONNX Runtime over whole graphs, for building packages. Each refusal becomes one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from collab_sdk.errors import InvalidPackage

_REFUSALS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_SILENT = 4  # What goes wrong is in the exception; lines on stderr would double it.


def open_session(
    model: onnx.ModelProto, options: onnxruntime.SessionOptions, without: Sequence[str] = ()
) -> onnxruntime.InferenceSession:
    """A session over `model`, but without the optimisers in `without`. Raises `InvalidPackage` if it is refused."""
    options.log_severity_level = _SILENT
    with _refusals():
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"], disabled_optimizers=list(without)
        )


def outputs_of(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, object]:
    """All outputs of `model` for `feeds`, by name: arrays, or lists for sequences.

    It runs without optimisations, so they are what the graph says. Raises `InvalidPackage` if ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_session(model, options)
    names = [output.name for output in session.get_outputs()]
    with _refusals():
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        raise InvalidPackage(f"ONNX Runtime cannot run this graph: {error}") from error
