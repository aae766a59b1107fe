"""What a graph from a stranger may hold: standard operators and their weights, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.operator_sets import check_versions
from collabd.catalog.graph.tensors import tensors

# ONNX Runtime takes no older one. A device cannot have built a newer one than `check_versions` allows.
_OLDEST_OPSET = 7
# Ten times as many as in the largest networks for images. The time to read a graph grows with the square.
_MOST_NODES = 10_000
_LONGEST_NAME = 512
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


def read_plain(data: bytes) -> onnx.ModelProto:
    """The graph in `data`, a serialised ONNX model. Raises `InvalidPackage` unless it is sound and plain.

    It may have no operators but ONNX's own, no functions, no nested graphs (so every node runs once), nothing random,
    no sparse weights (a few bytes can stand for gigabytes), and no weights in other files (a path in a graph could
    name any file of this machine).
    """
    try:
        model = onnx.load_model_from_string(data)
        for fault in _faults(model):
            raise InvalidPackage(fault)
        check_versions(model)
        onnx.checker.check_model(data)  # The bytes, since it would serialise the model once more.
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InvalidPackage(f"it is not a sound ONNX graph: {error}") from error
    return model


def _faults(model: onnx.ModelProto) -> Iterator[str]:
    graph = model.graph
    yield from _elsewhere(model)
    if max(len(graph.node), len(graph.initializer), len(graph.value_info)) > _MOST_NODES:
        yield f"the graph has more than {_MOST_NODES} nodes or weights"
    if model.functions or model.training_info or graph.sparse_initializer:
        yield "the graph has functions, training or sparse weights, which no companion accepts"
    for entry in model.opset_import:
        if entry.domain not in {"", "ai.onnx"} or entry.version < _OLDEST_OPSET:
            yield f"it uses the operator set {entry.domain[:80]!r} {entry.version}, not ONNX's {_OLDEST_OPSET} or newer"
    for node in graph.node:
        yield from _node(node)
    named = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    if any(len(each.name) > _LONGEST_NAME for each in named):
        yield f"a tensor has a name of more than {_LONGEST_NAME} characters"


def _node(node: onnx.NodeProto) -> Iterator[str]:
    if node.domain not in {"", "ai.onnx"}:
        yield f"the operator {node.domain[:80]}.{node.op_type[:80]} is not one of ONNX's own"
    if node.op_type in _RANDOM:
        yield f"{node.op_type} draws random numbers, so nothing could tell a right answer from a wrong one"
    if any(len(name) > _LONGEST_NAME for name in (node.name, node.op_type, *node.input, *node.output)):
        yield f"a node has a name of more than {_LONGEST_NAME} characters"
    for attribute in node.attribute:
        if attribute.graphs or attribute.HasField("g"):
            yield f"{node.op_type[:80]} has a graph inside: export the network without control flow"
        if attribute.sparse_tensors or attribute.HasField("sparse_tensor"):
            yield f"{node.op_type[:80]} has sparse weights; store them dense"


def _elsewhere(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in tensors(model):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield f"it keeps the weights {tensor.name[:80]!r} in another file: put them into the graph"
