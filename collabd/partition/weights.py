"""The constants of a graph, read from the file of the model whenever they are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

import numpy as np
import onnx

from .errors import PartitionError
from .graph import reads_of
from .model_file import Search, Stretch

# Smaller weights are held, since opening a file for them costs as much.
_HELD_BYTES = 1024


class _Weight(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    def array(self) -> np.ndarray: ...


@dataclass(frozen=True)
class _Held:
    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def array(self) -> np.ndarray:
        return self.values


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """Of the type `stored` in the file, and of the type `used` in the network."""

    stretch: Stretch
    shape: tuple[int, ...]
    stored: np.dtype
    used: np.dtype

    @property
    def nbytes(self) -> int:
        return self.stretch.size // self.stored.itemsize * self.used.itemsize

    def array(self) -> np.ndarray:
        return np.frombuffer(self.stretch.read(), self.stored).reshape(self.shape).astype(self.used, copy=False)


class Weights(Mapping[str, np.ndarray]):
    """The weights by name. Those of a stored model take memory only in the hands of whoever asks for them."""

    def __init__(self, weights: Mapping[str, _Weight]) -> None:
        self._weights = weights
        self.nbytes = sum(weight.nbytes for weight in weights.values())

    def __getitem__(self, name: str) -> np.ndarray:
        """The values; PartitionError if the model's file was changed."""
        return self._weights[name].array()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __contains__(self, name: object) -> bool:
        return name in self._weights

    def shape(self, name: str) -> tuple[int, ...]:
        """The sizes of a weight."""
        return self._weights[name].shape

    def only(self, names: Collection[str]) -> Weights:
        """Those of these names."""
        return Weights({name: weight for name, weight in self._weights.items() if name in names})


def take_weights(graph: onnx.GraphProto, search: Search | None) -> tuple[Weights, list[onnx.NodeProto]]:
    """The initializers of `graph`, and its nodes without those that only widen a stored weight.

    Packages store weights as fp16, each with a Cast to float behind it. Such a weight becomes one of float32 here,
    named as the output of the Cast, so that no session holds it in two widths. With `search` they stay in the file.
    """
    if graph.sparse_initializer:
        raise PartitionError("sparse weights are not supported; store them dense")
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    stored = {name: _weight(tensor, search) for name, tensor in tensors.items()}
    folded = {node.output[0]: node.input[0] for node in graph.node if _widens(node, tensors)}
    nodes = [node for node in graph.node if node.output[0] not in folded]
    still_read = {name for node in nodes for name in reads_of(node)} | {value.name for value in graph.output}
    halves = set(folded.values()) - still_read
    weights = {name: weight for name, weight in stored.items() if name not in halves}
    return Weights(weights | {name: _widened(stored[half]) for name, half in folded.items()}), nodes


def _widens(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> bool:
    return (
        node.op_type == "Cast"
        and node.input[0] in stored
        and stored[node.input[0]].data_type == onnx.TensorProto.FLOAT16
        and any(attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute)
    )


def _weight(tensor: onnx.TensorProto, search: Search | None) -> _Weight:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise PartitionError(f"the weight {tensor.name!r} is in another file; build the package again")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    # Types that numpy itself lacks are stored in their own ways.
    if search is not None and dtype.kind in "fiu" and len(values := tensor.raw_data) > _HELD_BYTES:
        stretch = search.stretch(values)
        if stretch is not None and stretch.size == prod(tensor.dims) * dtype.itemsize:
            return _Stored(stretch=stretch, shape=tuple(tensor.dims), stored=dtype, used=dtype)
    return _Held(onnx.numpy_helper.to_array(tensor))


def _widened(weight: _Weight) -> _Weight:
    if isinstance(weight, _Stored):
        return replace(weight, used=np.dtype(np.float32))
    return _Held(weight.array().astype(np.float32))
