"""Tensor names that an author recognises: the paths of the PyTorch modules that made the tensors.

The convention is that of torchvision's feature extraction: the output of a leaf module carries the module's path
(`features.3`), that of an operation in a `forward` the path with the operation (`layer1.0.add`), and repetitions a
number (`layer1.0.relu_1`). It rests on the scopes that PyTorch's exporter notes in the metadata of each node.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, count, groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["rename"]

_SCOPES = "pkg.torch.onnx.name_scopes"
_CLASSES = "pkg.torch.onnx.class_hierarchy"


def rename(model: ir.Model, modules: Mapping[str, bool], root: str) -> None:
    """Name the tensors of `model` by module path, in place; its inputs and outputs keep their names.

    `modules` maps each module's path to whether it is a leaf; `root` is the one whose path is left out of names.
    """
    graph = model.graph
    prefix = root + "."
    fixed = {*graph.inputs, *graph.outputs}
    taken = {value.name for value in chain(fixed, graph.initializers.values())}
    for weight in list(graph.initializers.values()):
        taken.remove(weight.name)
        weight.name = _free((weight.name or "").removeprefix(prefix), taken)
        taken.add(weight.name)
    for node, name in _named(graph, modules):
        for output in node.outputs:
            if output.name and output not in fixed:
                output.name = _free(name.removeprefix(prefix), taken)
                taken.add(output.name)
        node.name = node.outputs[0].name


def _named(graph: ir.Graph, modules: Mapping[str, bool]) -> Iterator[tuple[ir.Node, str]]:
    for scope, run in groupby(graph, lambda node: _scope(node, modules)):
        nodes = list(run)
        for node in nodes:
            # A leaf may have several nodes; it returns what the last of them makes.
            whole = modules[scope] and node is nodes[-1]
            yield node, scope if whole else f"{scope}.{_operation(node)}".lstrip(".")


def _scope(node: ir.Node, modules: Mapping[str, bool]) -> str:
    """The path of the innermost module with the node; empty for the outermost module, or if none is noted."""
    scopes: list[str] = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    return next((scope for scope in reversed(scopes[:-1]) if scope in modules), "")


def _operation(node: ir.Node) -> str:
    """`add` for `aten.add.Tensor`; the name of the ONNX operator if the exporter added the node by itself."""
    classes = ast.literal_eval(node.metadata_props.get(_CLASSES, "[]"))
    parts = classes[-1].split(".") if classes else []
    return parts[1] if len(parts) == 3 else node.op_type.lower()


def _free(name: str, taken: Collection[str | None]) -> str:
    if name not in taken:
        return name
    return next(candidate for number in count(1) if (candidate := f"{name}_{number}") not in taken)
