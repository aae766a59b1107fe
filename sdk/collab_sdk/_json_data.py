"""Tensors as JSON lists, for clients such as curl that write no binary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_sdk._parameters import WireError
from collab_sdk._tensor import MAX_RANK, Tensor, check_length


def data_of(tensor: Tensor) -> list[Any]:
    """The tensor's elements as a flat list. WireError: a BYTES element is no text, so it has no JSON form."""
    if tensor.datatype != "BYTES":
        values: list[Any] = tensor.to_array().reshape(-1).tolist()
        return values
    try:
        return [element.decode() for element in tensor.to_bytes_list()]
    except UnicodeDecodeError as error:
        raise WireError(f"tensor {tensor.name!r}: bytes that are not UTF-8 need binary_data") from error


def fill(tensor: Tensor, data: Any) -> Tensor:
    """The tensor with the elements of ``data``, a flat or nested list. WireError: they do not fit datatype or shape."""
    if not isinstance(data, list):
        raise WireError(f"tensor {tensor.name!r} has neither a list `data` nor `binary_data_size`")
    if "codec" in tensor.parameters:
        raise WireError(f"tensor {tensor.name!r}: an encoded tensor needs binary_data")
    leaves = list(_leaves(data, MAX_RANK))
    if tensor.datatype == "BYTES":
        tensor.data = Tensor.from_bytes_list(tensor.name, [_text(tensor.name, leaf) for leaf in leaves]).data
    else:
        tensor.data = Tensor.from_array(tensor.name, _numbers(tensor, leaves)).data
    check_length(tensor)
    return tensor


def _numbers(tensor: Tensor, leaves: list[Any]) -> NDArray[Any]:
    dtype = tensor.dtype
    kinds: dict[str, set[type]] = {"b": {bool}, "f": {int, float}}
    if not set(map(type, leaves)) <= kinds.get(dtype.kind, {int}):
        raise WireError(f"tensor {tensor.name!r}: data holds something that is not {tensor.datatype}")
    least, most = _limits(dtype)
    if not all(least <= leaf <= most for leaf in leaves):
        raise WireError(f"tensor {tensor.name!r}: data holds a number outside the range of {tensor.datatype}")
    return np.array(leaves, dtype)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The dtype's least and greatest value as Python numbers: numpy would round a list's number before comparing."""
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _text(name: str, leaf: Any) -> bytes:
    if not isinstance(leaf, str):
        raise WireError(f"tensor {name!r}: BYTES in JSON must be strings")
    try:
        return leaf.encode()
    except UnicodeEncodeError as error:
        raise WireError(f"tensor {name!r}: a lone surrogate is not text") from error


def _leaves(data: list[Any], depth: int) -> Iterator[Any]:
    for item in data:
        if not isinstance(item, list):
            yield item
        elif depth:
            yield from _leaves(item, depth - 1)
        else:
            raise WireError(f"data is nested deeper than {MAX_RANK} levels")
