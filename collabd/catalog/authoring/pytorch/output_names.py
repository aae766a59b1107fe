"""Names for what a PyTorch module returns. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from collab_sdk.errors import InvalidPackage

__all__ = ["output_names"]

OUTPUT = "output"


def output_names(returned: object) -> tuple[str, ...]:
    """A name for each tensor in `returned`, in order: its key in a mapping, else `output`, or with a number if several.

    Raises `InvalidPackage` if `returned` holds anything but tensors.
    """
    match returned:
        case torch.Tensor():
            return (OUTPUT,)
        case Mapping() if all(isinstance(value, torch.Tensor) for value in returned.values()):
            return tuple(map(str, returned))
        case [*values] if values and all(isinstance(value, torch.Tensor) for value in values):
            return (OUTPUT,) if len(values) == 1 else tuple(f"{OUTPUT}_{place}" for place in range(len(values)))
    raise InvalidPackage(
        f"the network returns a {type(returned).__name__}: collabd takes those that return a tensor, or several in a "
        "tuple, a list or a dict"
    )
