"""Every stored tensor of a graph, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import onnx
from google.protobuf.message import Message

from collab_sdk.errors import InvalidPackage

# protobuf, and so ONNX, writes no larger message.
_MOST_BYTES = 2**31 - 1


def tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """The tensors in `message`: weights, constants, and those of nested graphs and functions."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in [value] if isinstance(value, Message) else value:
            if isinstance(part, onnx.TensorProto):
                yield part
            else:
                yield from tensors(part)


def require_writable(model: onnx.ModelProto) -> None:
    """Raise `InvalidPackage` if a graph cannot hold the weights of `model`. No values are read."""
    if not is_writable(model):
        raise InvalidPackage(
            f"its weights take {_total(model) / 1e9:.1f} GB, but an ONNX graph holds at most 2.1 GB (protobuf's limit)"
            ": take a smaller variant of the network"
        )


def is_writable(model: onnx.ModelProto, *, beside: int = 0, halves_widened: bool = False) -> bool:
    """Whether a graph may hold the weights of `model`, and `beside` bytes of others.

    With `halves_widened`, those in float16 count as float32.
    """
    return _total(model, halves_widened=halves_widened) + beside <= _MOST_BYTES


def _total(model: onnx.ModelProto, *, halves_widened: bool = False) -> int:
    found = list(tensors(model))
    halves = (tensor for tensor in found if halves_widened and tensor.data_type == onnx.TensorProto.FLOAT16)
    return sum(map(_nbytes, found)) + sum(map(_nbytes, halves))


def _nbytes(tensor: onnx.TensorProto) -> int:
    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return 0
    elements: int = prod(tensor.dims)
    width: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return elements * width
