"""A TensorFlow.js graph model as its files hold it: `model.json`, and the weights as one run of bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import msgspec
import numpy as np

from collab_sdk.errors import InvalidPackage

__all__ = ["Node", "TfjsGraph", "parse"]

_STORED: Mapping[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "int32": np.dtype("<i4"),
}


class _Dim(msgspec.Struct):
    size: int = 0


class _Shape(msgspec.Struct):
    dim: tuple[_Dim, ...] = ()


class _Integers(msgspec.Struct):
    i: tuple[int, ...] = ()


class _Attribute(msgspec.Struct):
    s: str | None = None
    f: float | None = None
    b: bool | None = None
    shape: _Shape | None = None
    list: _Integers | None = None


class Node(msgspec.Struct):
    """An operator of the graph. Its inputs are `NODE`, or `NODE:1` for the second output of NODE."""

    name: str
    op: str
    input: tuple[str, ...] = ()
    attr: dict[str, _Attribute] = {}

    def text(self, attribute: str) -> str:
        """The attribute, which is a word such as `SAME`."""
        return base64.b64decode(self._attribute(attribute).s or "").decode()

    def number(self, attribute: str) -> float:
        """The attribute, which is a fraction."""
        return self._attribute(attribute).f or 0.0

    def flag(self, attribute: str) -> bool:
        """The attribute, which is true or false."""
        return bool(self._attribute(attribute).b)

    def integers(self, attribute: str) -> tuple[int, ...]:
        """The attribute, which is a list of integers."""
        found = self._attribute(attribute).list
        return found.i if found else ()

    def sizes(self, attribute: str) -> tuple[int, ...]:
        """The attribute, which is a shape."""
        found = self._attribute(attribute).shape
        return tuple(dim.size for dim in found.dim) if found else ()

    def _attribute(self, name: str) -> _Attribute:
        return self.attr.get(name, _Attribute())


class _Quantisation(msgspec.Struct):
    dtype: str


class _Weight(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: _Quantisation | None = None


class _Group(msgspec.Struct):
    weights: tuple[_Weight, ...]


class _Topology(msgspec.Struct):
    node: tuple[Node, ...]


class _Model(msgspec.Struct):
    modelTopology: _Topology  # noqa: N815 (the format's own name)
    weightsManifest: tuple[_Group, ...]  # noqa: N815
    format: str


@dataclass(frozen=True)
class TfjsGraph:
    """`nodes` by name, and `weights` by the name of their `Const` node."""

    nodes: Mapping[str, Node]
    weights: Mapping[str, np.ndarray]


def parse(model: bytes, weights: bytes) -> TfjsGraph:
    """The graph in `model` (model.json), with the weights in `weights` (its .bin files, one after the other).

    Weights that are stored as float16 become float32. Raises `InvalidPackage` if this is no graph model, has weights
    of another kind, or does not fit its weights.
    """
    try:
        # Not strict: JSON of protocol buffers holds integers of 64 bits as strings.
        described = msgspec.json.decode(model, type=_Model, strict=False)
    except msgspec.DecodeError as error:
        raise InvalidPackage(f"model.json is no TensorFlow.js graph model: {error}") from error
    if described.format != "graph-model":
        raise InvalidPackage(f"model.json holds a {described.format}, not a graph-model")
    entries = [entry for group in described.weightsManifest for entry in group.weights]
    nodes = {node.name: node for node in described.modelTopology.node}
    return TfjsGraph(nodes=nodes, weights=_read(entries, weights))


def _read(entries: list[_Weight], weights: bytes) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for entry in entries:
        kind = entry.quantization.dtype if entry.quantization else entry.dtype
        if kind not in _STORED:
            raise InvalidPackage(f"the weight {entry.name} is stored as {kind}; this reads {', '.join(_STORED)}")
        stored = _STORED[kind]
        count = prod(entry.shape)
        end = start + count * stored.itemsize
        if end > len(weights):
            raise InvalidPackage(f"the weights end at byte {len(weights)}, within {entry.name}")
        array = np.frombuffer(weights, stored, count, start).reshape(entry.shape)
        arrays[entry.name] = array.astype(np.float32) if entry.dtype == "float32" else array
        start = end
    if start != len(weights):
        raise InvalidPackage(f"model.json describes {start} bytes of weights, but there are {len(weights)}")
    return arrays
