"""Which output holds the scores, and the scores as float32 [batch, classes]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.foreign.image_input import free_name
from collabd.catalog.authoring.foreign.standard import nodes_of

# The name of the output that is made here.
_SCORES = "scores"
_READERS = frozenset({"LSTM", "GRU", "RNN"})
_SOFTMAX = frozenset({"Softmax", "LogSoftmax"})


def choose(found: Mapping[str, object], wanted: str | None, labels: int | None) -> str:
    """The output with the scores: the one that is `wanted`, the only one, or the only one of as many scores as labels.

    `found` holds what the graph makes of one image. Raises `InvalidRequest` listing the outputs if none is clear.
    """
    if wanted is not None and wanted not in found:
        raise InvalidRequest(f"the graph has no output {wanted!r}; it has {_listed(found)}")
    if wanted is not None or len(found) == 1:
        return wanted or next(iter(found))
    fitting = [name for name, value in found.items() if labels is not None and classes_in(value) == labels]
    if len(fitting) != 1:
        raise InvalidRequest(
            f"the graph has {len(found)} outputs: say which one holds the scores (--output NAME): {_listed(found)}"
        )
    return fitting[0]


def classes_in(value: object) -> int | None:
    """How many scores an image has in `value`, which a graph made of one image; None if it holds no scores."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return None
    if value.size != max(value.shape, default=1) or (value.ndim > 1 and value.shape[0] != 1):
        return None
    return value.size


def as_rows(model: onnx.ModelProto, name: str, value: object) -> onnx.ModelProto:
    """`model` with the output `name` alone, as float32 [batch, classes]; `value` is what it gave for one image.

    Raises `InvalidPackage` saying what the output is where it is no row of scores.
    """
    if not isinstance(value, np.ndarray) or classes_in(value) is None:
        raise InvalidPackage(_described(model.graph, name, value))
    rows = onnx.ModelProto()
    rows.CopyFrom(model)
    graph = rows.graph
    given = onnx.ValueInfoProto()
    given.CopyFrom(next(output for output in graph.output if output.name == name))
    nodes = list(_to_rows(graph, name, value))
    graph.node.extend(nodes)
    del graph.output[:]
    last = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None) if nodes else given
    graph.output.append(last)
    return rows


def _to_rows(graph: onnx.GraphProto, name: str, value: np.ndarray) -> Iterator[onnx.NodeProto]:
    scores = free_name(graph, _SCORES)
    if value.dtype != np.float32:
        made = scores if value.ndim == 2 else free_name(graph, "collabd.float_scores")
        yield helper.make_node("Cast", [name], [made], to=TensorProto.FLOAT)
        name = made
    if value.ndim > 2:
        yield helper.make_node("Flatten", [name], [scores], axis=1)
    elif value.ndim < 2:
        yield helper.make_node("Reshape", [name, _row(graph, value)], [scores])


def _row(graph: onnx.GraphProto, value: np.ndarray) -> str:
    """The shape to which scores of one axis are brought.

    A single score lies along the batch. Several have lost the axis of the batch, so the graph then takes one image.
    """
    along_batch = value.shape == (1,)
    free = free_name(graph, "collabd.row")
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1] if along_batch else [1, -1]), free))
    if not along_batch:
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return free


def _described(graph: onnx.GraphProto, name: str, value: object) -> str:
    return (
        f"the output {name} is {shape_of(value)}{_kind(graph, name, value)}, but labels need floating-point scores, "
        "[batch, labels]. Without --labels and --output the network answers with its outputs as they are"
    )


def _kind(graph: onnx.GraphProto, name: str, value: object) -> str:
    """The kind of network that gives such an output, so that a user knows why it is refused."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return ""
    if value.ndim > 3:
        return ", a map over the image, as segmenters, restorers and text detectors give"
    maker = next((node.op_type for node in graph.node if name in node.output), "")
    if maker in _SOFTMAX or _READERS & {node.op_type for node in nodes_of(graph)}:
        return ", a row for each position in the image, as text recognisers give"
    return ", several rows for each image, as object detectors give"


def _listed(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {shape_of(value)}" for name, value in found.items())


def shape_of(value: object) -> str:
    """Element type and shape as words, with the batch at 1."""
    if not isinstance(value, np.ndarray):
        return "a sequence" if isinstance(value, list) else "not a tensor"
    return f"{value.dtype} [{', '.join(map(str, value.shape))}]"
