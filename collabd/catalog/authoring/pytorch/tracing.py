"""Trace a PyTorch module into ONNX, image in and logits out. Imports torch: only `export` imports this, when called."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr

import torch
from torch import nn

from collab_sdk.errors import InvalidPackage

__all__ = ["FromUint8", "trace"]

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

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise and run."""
        # In NHWC memory order PyTorch pools by as_strided: nine nodes, which read the shape of the image.
        x = image.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        logits: torch.Tensor = self.network(x * self.scale + self.shift)
        return logits


def trace(
    whole: FromUint8, *, height: int, width: int, inputs: list[str], outputs: list[str]
) -> torch.onnx.ONNXProgram:
    """The traced network with a dynamic batch, or with batch 1 where it refuses that.

    Raises `InvalidPackage` if it can be traced in neither way.
    """

    def attempt(batch: int, dynamic_shapes: tuple[dict[int, torch.export.Dim]] | None) -> torch.onnx.ONNXProgram:
        image = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
        with _quiet(), _pooling_planes(whole):
            program = torch.onnx.export(
                whole,
                (image,),
                dynamic_shapes=dynamic_shapes,
                input_names=inputs,
                output_names=outputs,
                opset_version=_OPSET,
                verbose=False,
            )
        assert program is not None  # noqa: S101 (optional only for the exporter's older form)
        return program

    name = type(whole.network).__name__
    try:
        return attempt(2, ({0: torch.export.Dim("batch")},))
    except torch.onnx.OnnxExporterError as refusal:
        _log.info("%s refuses a dynamic batch: %s", name, _headline(refusal))
    try:
        return attempt(1, None)
    except torch.onnx.OnnxExporterError as error:
        raise InvalidPackage(f"{name} does not export to ONNX: {_headline(error)}") from error


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
    """Drop what the exporter prints and logs when it refuses: whole graphs. Its exception says what matters."""
    logging.disable(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _headline(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
