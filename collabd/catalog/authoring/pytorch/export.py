"""A PyTorch module as an ONNX graph, of the resized uint8 image or of tensors. Needs the extra `author`."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.optimise import with_halved_weights
from collabd.catalog.authoring.pytorch.tensor_names import rename
from collabd.catalog.graph.tensors import is_writable, require_writable

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir
    import torch
    from torch import nn

__all__ = ["INPUT", "OUTPUT", "export", "export_tensors", "finished"]

INPUT = "image"
OUTPUT = "logits"


def export(
    module: nn.Module,
    *,
    height: int,
    width: int,
    mean: Sequence[float],
    std: Sequence[float],
    outputs: Sequence[str] = (OUTPUT,),
) -> onnx.ModelProto:
    """The graph of `module`, which takes float32 [batch, 3, height, width] and returns a tensor for each of `outputs`.

    The graph takes `image`, uint8 [batch, height, width, 3], scales it to 0..1 and normalises it by `mean` and `std`
    (one value a channel). The batch is dynamic, or 1 where the module refuses that. Each submodule's output is named by
    the submodule's path. The module is put into eval mode.

    Raises `InvalidPackage` if the module cannot be exported, has not as many outputs, or is larger than any graph.
    """
    import torch  # noqa: PLC0415 (PyTorch: not on every machine, and slow)

    from collabd.catalog.authoring.pytorch.tracing import FromUint8  # noqa: PLC0415

    samples = {INPUT: torch.zeros((1, height, width, 3), dtype=torch.uint8)}
    name = type(module).__name__
    return _graph(FromUint8(module, mean, std), samples, outputs=outputs, name=name, root="network")


def export_tensors(
    module: nn.Module, samples: Mapping[str, torch.Tensor], *, outputs: Sequence[str]
) -> onnx.ModelProto:
    """The graph of `module` for tensors such as `samples`, by the names of its inputs, in the order of its `forward`.

    Their first axis is that of the batch; else as for `export`.
    """
    return _graph(module, samples, outputs=outputs, name=type(module).__name__, root="")


def _graph(
    whole: nn.Module, samples: Mapping[str, torch.Tensor], *, outputs: Sequence[str], name: str, root: str
) -> onnx.ModelProto:
    from collabd.catalog.authoring.pytorch.tracing import trace  # noqa: PLC0415

    model = trace(whole.eval(), samples, outputs=outputs, name=name).model
    if (found := len(model.graph.outputs)) != len(outputs):
        wanted = " and ".join(outputs)
        raise InvalidPackage(f"{name} returns {found} tensors: wrap it in a module that returns {wanted}")
    modules = {path: not any(child.children()) for path, child in whole.named_modules()}
    rename(model, modules, root=root)
    graph = finished(model)
    del model
    gc.collect()  # Tracing leaves cycles of objects that hold the weights.
    return graph


def finished(model: ir.Model) -> onnx.ModelProto:
    """The graph of `model` without the exporter's notes, and in half width if a graph cannot hold the weights in full.

    Packages store them so anyway. The weights are taken out of `model`, so that they are in memory once, not twice.
    """
    import onnx_ir as ir  # noqa: PLC0415 (of the extra `author`)

    weights = list(model.graph.initializers.values())
    model.graph.initializers.clear()
    frame = _without_notes(ir.to_proto(model))
    nbytes = sum(weight.const_value.nbytes for weight in weights if weight.const_value is not None)
    if is_writable(frame, beside=nbytes):
        frame.graph.initializer.extend(_taken(weights))
        return frame
    halved = with_halved_weights(frame, _taken(weights))
    require_writable(halved)
    return halved


def _taken(weights: Iterable[ir.Value]) -> Iterator[onnx.TensorProto]:
    """The values of `weights`, each given up before the next is read."""
    import onnx_ir as ir  # noqa: PLC0415

    for weight in weights:
        values, weight.const_value = weight.const_value, None
        assert values is not None  # noqa: S101 (the exporter knows all weights)
        values.name = weight.name
        yield ir.to_proto(values)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without the exporter's notes. They are half of a small model, and hold paths of this machine."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del noted.metadata_props[:]
    return model
