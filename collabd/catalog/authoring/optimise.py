"""The form in which a graph is stored: optimised as far as is right for every machine, large weights in half width."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.sessions import open_session
from collabd.catalog.graph.operator_sets import check_versions
from collabd.catalog.graph.tensors import is_writable

# A weight of fewer elements is not halved: it would save less than its Cast node takes, and biases keep precision.
_SMALLEST_HALVED = 1024
_QUANTISERS = frozenset({"DequantizeLinear", "QuantizeLinear"})
# The largest error that halving may make, as a part of the largest value: twice the rounding of float16. Weights that
# are too large or too small for float16 lose more.
_HALF_PRECISION = 2**-10


def optimise(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` after ONNX Runtime's basic optimisation: constants folded, BatchNorm merged into its convolution.

    The basic level uses standard operators alone, so the result runs anywhere. Raises `InvalidPackage` if ONNX
    Runtime cannot run the graph, or an older one on a device could not.
    """
    check_versions(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as scratch:
        options.optimized_model_filepath = str(Path(scratch) / "model.onnx")
        open_session(model, options, _unaffordable(model))
        optimised = onnx.load(options.optimized_model_filepath)
    _forget_unused_domains(optimised)
    return optimised


def _unaffordable(model: onnx.ModelProto) -> list[str]:
    """The optimisers to leave out: folding widens weights to float32, and the largest networks then fit no graph."""
    return [] if is_writable(model, halves_widened=True) else ["ConstantFolding"]


def fix_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` for one image at a time, so that what it computes from the batch size becomes constant.

    Raises `InvalidPackage` if it takes a fixed number of images that is not one. Inputs that are no images keep theirs.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        if not (dims := value.type.tensor_type.shape.dim):
            continue
        batch = dims[0]
        if batch.dim_value > 1 and value.type.tensor_type.elem_type == TensorProto.UINT8:
            raise InvalidPackage(
                f"the graph takes {batch.dim_value} images at once; export it with a dynamic batch, or for 1"
            )
        batch.dim_value = batch.dim_value or 1
    return optimise(fixed)


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its large float32 weights stored as float16, each widened by a Cast in front of the graph.

    Arithmetic stays float32. Weights that float16 cannot hold stay as they are, and so do the scales of quantised
    tensors, on which all their values hang.
    """
    graph = onnx.GraphProto(**_fields(model.graph, without={"initializer"}))
    frame = onnx.ModelProto(**_fields(model, without={"graph"}), graph=graph)
    return with_halved_weights(frame, model.graph.initializer)


def with_halved_weights(frame: onnx.ModelProto, weights: Iterable[TensorProto]) -> onnx.ModelProto:
    """`frame`, a model without weights, with `weights` put into it as `halve_weights` stores them."""
    exact = _quantisation(frame.graph)
    nodes = list(frame.graph.node)
    del frame.graph.node[:]
    for weight in weights:
        if weight.name not in exact and _fits_half(weight):
            _append_halved(frame.graph, weight)
        else:
            frame.graph.initializer.append(weight)
    frame.graph.node.extend(nodes)
    return frame


def _fields(message: Message, *, without: Collection[str]) -> dict[str, Any]:
    """What is set in `message`, by name."""
    return {field.name: value for field, value in message.ListFields() if field.name not in without}


def _quantisation(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node if node.op_type in _QUANTISERS for name in node.input}


def _append_halved(graph: onnx.GraphProto, weight: TensorProto) -> None:
    stored = f"{weight.name}:float16"
    graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), stored))
    graph.node.append(helper.make_node("Cast", [stored], [weight.name], to=TensorProto.FLOAT))
    graph.value_info.append(helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, list(weight.dims)))


def _fits_half(weight: TensorProto) -> bool:
    if weight.data_type != TensorProto.FLOAT or prod(weight.dims) < _SMALLEST_HALVED:
        return False
    values = numpy_helper.to_array(weight)
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.abs(values - values.astype(np.float16)).max()
    return bool(lost <= _HALF_PRECISION * np.abs(values).max())


def _forget_unused_domains(model: onnx.ModelProto) -> None:
    """Remove them: ONNX Runtime declares all operator sets that it knows, and other tools refuse unknown ones."""
    used = set(_domains(model.graph)) | {domain for function in model.functions for domain in _domains(function)}
    declared = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(declared)


def _domains(body: onnx.GraphProto | onnx.FunctionProto) -> Iterator[str]:
    for node in body.node:
        yield "" if node.domain == "ai.onnx" else node.domain
        for attribute in node.attribute:
            for nested in (*attribute.graphs, attribute.g):
                yield from _domains(nested)
