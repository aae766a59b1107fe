"""A PyTorch module as an ONNX graph whose input is the resized uint8 image. Needs the extra `author`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.optimise import halve_weights
from collabd.catalog.authoring.pytorch.tensor_names import rename
from collabd.catalog.graph.tensors import is_writable, require_writable

if TYPE_CHECKING:
    import onnx
    from torch import nn

__all__ = ["INPUT", "OUTPUT", "export"]

INPUT = "image"
OUTPUT = "logits"


def export(
    module: nn.Module, *, height: int, width: int, mean: Sequence[float], std: Sequence[float]
) -> onnx.ModelProto:
    """The graph of `module`, which takes float32 [batch, 3, height, width] and returns float32 [batch, classes].

    The graph takes `image`, uint8 [batch, height, width, 3], scales it to 0..1, normalises it by `mean` and `std` (one
    value a channel) and returns `logits`. The batch is dynamic, or 1 where the module refuses that. Each submodule's
    output is named by the submodule's path. The module is put into eval mode.

    Raises `InvalidPackage` if the module cannot be exported, has not exactly one output, or is larger than any graph.
    """
    from collabd.catalog.authoring.pytorch.tracing import FromUint8, trace  # noqa: PLC0415 (PyTorch: not on every machine, and slow)

    whole = FromUint8(module, mean, std).eval()
    program = trace(whole, height=height, width=width, inputs=[INPUT], outputs=[OUTPUT])
    if len(program.model.graph.outputs) != 1:
        raise InvalidPackage(f"{type(module).__name__} returns several tensors; wrap it so that it returns the logits")
    modules = {path: not any(child.children()) for path, child in whole.named_modules()}
    rename(program.model, modules, root="network")
    return _writable(_without_notes(program.model_proto))


def _writable(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, with its weights in half width, as packages store them, if a graph cannot hold them in full."""
    if not is_writable(model):
        model = halve_weights(model)
        require_writable(model)
    return model


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without the exporter's notes. They are half of a small model, and hold paths of this machine."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
    return model
