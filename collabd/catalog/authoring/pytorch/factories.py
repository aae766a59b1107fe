"""What a user's factory returns, as a graph. Imports torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import onnx
import torch
from torch import nn

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.pytorch.export import export, export_tensors
from collabd.catalog.authoring.pytorch.output_names import output_names

__all__ = ["from_factory"]


def from_factory(
    factory: Callable[[], object],
    *,
    source: str,
    size: tuple[int, int] | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> onnx.ModelProto:
    """The graph of the module that `factory` returns, alone or with its inputs for one item.

    A module alone takes normalised planes [batch, 3, height, width] of `size`. Raises `InvalidRequest`, which names the
    `source`, if the factory returns something else or the size is missing, and `InvalidPackage` if it does not export.
    """
    match factory():
        case nn.Module() as module:
            if size is None:
                raise InvalidRequest(
                    f"{source} does not say what its network takes: state the size of its pictures (--size "
                    "HEIGHTxWIDTH), or return the module and its inputs for one item"
                )
            height, width = size
            outputs = _outputs(module, {"a picture": torch.zeros(1, 3, height, width)}, source)
            return export(module, height=height, width=width, mean=mean, std=std, outputs=outputs)
        case (nn.Module() as module, torch.Tensor() | Mapping() | [*_] as given):
            samples = _samples(module, given, source)
            return export_tensors(module, samples, outputs=_outputs(module, samples, source))
        case other:
            raise InvalidRequest(
                f"{source} returns a {type(other).__name__}, not a torch.nn.Module, alone or in a pair with its inputs"
            )


def _samples(module: nn.Module, given: object, source: str) -> dict[str, torch.Tensor]:
    """The inputs by name, in the order in which the module takes them."""
    names = [*inspect.signature(module.forward).parameters]
    if isinstance(given, Mapping):
        samples = {name: given[name] for name in names if name in given}
        if unknown := given.keys() - samples.keys():
            raise InvalidRequest(f"{source} gives inputs {sorted(unknown)}, but its network takes {', '.join(names)}")
    else:
        values = [given] if isinstance(given, torch.Tensor) else [*given]  # type: ignore[misc]
        samples = dict(zip(names, values, strict=False))
        if len(values) > len(names):
            raise InvalidRequest(f"{source} gives {len(values)} inputs, but its network takes {', '.join(names)}")
    if not samples or not all(isinstance(value, torch.Tensor) and value.ndim for value in samples.values()):
        raise InvalidRequest(f"{source} gives inputs that are not tensors with a first axis for the batch")
    return samples


def _outputs(module: nn.Module, given: Mapping[str, torch.Tensor], source: str) -> tuple[str, ...]:
    with torch.inference_mode():
        try:
            return output_names(module.eval()(*given.values()))
        except RuntimeError as error:
            listed = ", ".join(
                f"{name} {str(value.dtype).removeprefix('torch.')} {[*value.shape]}" for name, value in given.items()
            )
            raise InvalidRequest(
                f"{source}: the network does not take {listed}: {error}. For other inputs return a pair of the module "
                "and its inputs for one item: torch.zeros(1, 1, 28, 28) for a grey picture of 28x28"
            ) from error
