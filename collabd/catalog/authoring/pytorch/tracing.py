"""Trace a PyTorch module into ONNX. Imports torch: only `export` imports this, when called."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import optimizer
from torch import nn

from collab_sdk.errors import InvalidPackage

__all__ = ["FromUint8", "convert", "trace"]

# Fixed, not torch's default: a device may have ONNX Runtime 1.20, which reads opsets up to 21.
_OPSET = 20
_log = logging.getLogger(__name__)


class FromUint8(nn.Module):
    """A network behind its normalisation: uint8 [batch, height, width, 3] → what the network returns."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        # (x / 255 - mean) / std as one multiplication and one addition: a device does this for every image.
        deviation = torch.tensor(std, dtype=torch.float64)
        shift = -torch.tensor(mean, dtype=torch.float64) / deviation
        self.register_buffer("scale", (1 / (255 * deviation)).float().view(-1, 1, 1))
        self.register_buffer("shift", shift.float().view(-1, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Normalise and run."""
        # In NHWC memory order PyTorch pools by as_strided: nine nodes, which read the shape of the image.
        x = image.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        made: torch.Tensor | tuple[torch.Tensor, ...] = self.network(x * self.scale + self.shift)
        return made


def trace(
    whole: nn.Module, samples: Mapping[str, torch.Tensor], *, outputs: Sequence[str], name: str
) -> torch.onnx.ONNXProgram:
    """`whole` traced with `samples` of one image, by the names of the inputs, in the order of its `forward`.

    The batch is dynamic, or that of the samples where the module refuses that. Raises `InvalidPackage` if it can be
    traced in neither way. `name` is what the error calls the module.
    """

    def attempt(
        given: list[torch.Tensor], dynamic_shapes: tuple[dict[int, torch.export.Dim], ...] | None
    ) -> torch.onnx.ONNXProgram:
        with _pooling_planes(whole):
            return _exported(
                whole, tuple(given), dynamic_shapes=dynamic_shapes, input_names=[*samples], output_names=[*outputs]
            )

    try:
        batch = torch.export.Dim("batch")
        pairs = [torch.cat([each, each]) for each in samples.values()]
        program = attempt(pairs, tuple({0: batch} for _ in samples))
        if not _is_fixed(program):
            return program
        _log.info("%s takes only as many images as it was traced with", name)
    except (torch.onnx.OnnxExporterError, RuntimeError) as refusal:
        _log.info("%s refuses a dynamic batch: %s", name, _headline(refusal))
    try:
        return attempt([*samples.values()], None)
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise InvalidPackage(f"{name} does not export to ONNX: {_headline(error)}") from error


def convert(program: torch.export.ExportedProgram, *, outputs: Sequence[str], name: str) -> torch.onnx.ONNXProgram:
    """What was exported already, as ONNX. Raises `InvalidPackage`, which calls it `name`, if it has no ONNX form."""
    try:
        return _exported(program, (), output_names=[*outputs])
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise InvalidPackage(f"{name} does not export to ONNX: {_headline(error)}") from error


def _exported(
    model: nn.Module | torch.export.ExportedProgram, given: tuple[torch.Tensor, ...], **stated: Any
) -> torch.onnx.ONNXProgram:
    with _quiet():
        program = torch.onnx.export(model, given, opset_version=_OPSET, verbose=False, **stated)
        _let_go()
    assert program is not None  # noqa: S101 (optional only for the exporter's older form)
    return program


def _let_go() -> None:
    """Try the exporter's rewriting rules on a small graph, since they keep hold of the last one, with its weights."""
    image = ir.Value(name="x", shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Relu", [image])
    small = ir.Graph([image], node.outputs, nodes=[node], opset_imports={"": _OPSET}, name="small")
    optimizer.optimize(ir.Model(small, ir_version=10))


def _is_fixed(program: torch.onnx.ONNXProgram) -> bool:
    return any(value.shape is None or value.shape.is_static(0) for value in program.model.graph.inputs)


@contextmanager
def _pooling_planes(network: nn.Module) -> Iterator[None]:
    """Let adaptive pools read planes. Otherwise they become as_strided, which reads the size of the batch."""
    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    hooks = [pool.register_forward_pre_hook(lambda _, given: (given[0].contiguous(),)) for pool in pools]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what the exporter prints, warns of and logs: whole graphs. Its exception says what matters."""
    logging.disable(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _headline(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
