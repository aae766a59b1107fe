"""A graph written in one way: standard operators, weights that are no inputs, and no false statements about shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import inliner

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.foreign.image_input import INPUT, free_name
from collabd.catalog.graph.operator_sets import require_known

# From this version on, weights need not be listed among the inputs.
_IR_OF_OWN_WEIGHTS = 4
_OWN = {"", "ai.onnx"}


def standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its functions inlined and its weights apart from its inputs; inputs that nothing reads are left out.

    Stated shapes of tensors in between are left out too, because exporters often state them wrongly, and so are sizes
    that are none (-1, 0). Raises `InvalidPackage` if operators are not ONNX's own, naming them, or are too old.
    """
    require_known(model)
    plain = _inlined(model)
    graph = plain.graph
    if others := sorted({f"{node.domain}.{node.op_type}" for node in nodes_of(graph) if node.domain not in _OWN}):
        raise InvalidPackage(
            f"{' and '.join(others)}: not one of ONNX's own operators, so devices and companions may lack it: export "
            "the network without it (to quantise, use the QDQ form)"
        )
    plain.ir_version = max(plain.ir_version, _IR_OF_OWN_WEIGHTS)
    _store_constants(graph)
    _keep_true_inputs(graph)
    _open_sizes(graph)
    _unname_twins(graph)
    leave_the_name(graph, INPUT)  # that of the first cut in every package
    del graph.value_info[:]
    return plain


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of `graph` and of the graphs inside them (If, Loop, Scan)."""
    for node in graph.node:
        yield node
        for body in bodies_of(node):
            yield from nodes_of(body)


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if model.functions:
        return _without_functions(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        inlined: onnx.ModelProto = inliner.inline_local_functions(model, convert_version=True)
    except RuntimeError as error:
        names = ", ".join(sorted({function.name for function in model.functions}))
        raise InvalidPackage(f"the graph's own functions ({names}) cannot be inlined: {error}") from error
    return inlined


def _store_constants(graph: onnx.GraphProto) -> None:
    """Turn nodes that only hold a tensor into weights, as most exporters write them."""
    kept = []
    for node in graph.node:
        value = next((each.t for each in node.attribute if each.name == "value" and each.HasField("t")), None)
        if node.op_type == "Constant" and value is not None:
            graph.initializer.add().CopyFrom(value)
            graph.initializer[-1].name = node.output[0]
        else:
            kept.append(node)
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


def _keep_true_inputs(graph: onnx.GraphProto) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    read = {name for node in nodes_of(graph) for name in node.input}
    inputs = [value for value in graph.input if value.name in read - weights]
    del graph.input[:]
    graph.input.extend(inputs)


def _open_sizes(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.Clear()


def _unname_twins(graph: onnx.GraphProto) -> None:
    """Remove names that two nodes have: nodes need none, and ONNX Runtime refuses two that are equal."""
    counts = Counter(node.name for node in graph.node)
    for node in graph.node:
        if node.name and counts[node.name] > 1:
            node.ClearField("name")


def leave_the_name(graph: onnx.GraphProto, name: str) -> None:
    """Rename the tensor that has `name`, unless it is an input or an output."""
    if any(value.name == name for value in (*graph.input, *graph.output)):
        return
    free = free_name(graph, name)
    for node in nodes_of(graph):
        for names in (node.input, node.output):
            names[:] = [free if each == name else each for each in names]
