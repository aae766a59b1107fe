"""A network that is ready to be run in parts: its nodes, its weights (held once), and any part by tensor names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import onnx
from google.protobuf.message import DecodeError

from .errors import PartitionError
from .graph import Graph
from .shapes import TensorInfo, annotate, is_annotated
from .subgraph import Subgraph, assemble
from .weights import take_weights

_Message = TypeVar("_Message", onnx.NodeProto, onnx.ValueInfoProto)


class Network:
    """A graph with its weights in float32. Immutable, so any thread may use it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Take a model, which must state the shape of every tensor computed from the input; else PartitionError."""
        weights, nodes = take_weights(model.graph)
        self._frame = onnx.ModelProto(ir_version=model.ir_version)
        self._frame.opset_import.extend(model.opset_import)
        self._frame.functions.extend(model.functions)
        self.graph, reached = _needed_part(model.graph, nodes, weights)
        self.weights = {name: array for name, array in weights.items() if name in reached}
        self.weight_bytes = sum(array.nbytes for array in self.weights.values())
        values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
        variable = reached - self.graph.constants
        self._values = {value.name: _copy(value) for value in values if value.name in variable}
        if unstated := sorted(variable - self._values.keys()):
            raise PartitionError(f"the model states no shape for {unstated[:5]}: build the package again")
        self._tensors = {name: TensorInfo.of(value) for name, value in self._values.items()}
        constants = (value for value in values if value.name in reached & self.graph.constants)
        self._constants = {value.name: TensorInfo.of(value).shape for value in constants}
        self.inputs = tuple(self._tensors[name] for name in self.graph.inputs)
        self.outputs = tuple(self._tensors[name] for name in self.graph.outputs)

    @classmethod
    def load(cls, path: Path) -> Network:
        """Read a stored ``model.onnx``; PartitionError if it is no model, or states no shapes."""
        try:
            return cls(onnx.load(path))
        except (DecodeError, OSError, onnx.checker.ValidationError) as error:
            raise PartitionError(f"{path} is not a readable ONNX model: {error}") from error

    @classmethod
    def from_proto(cls, model: onnx.ModelProto) -> Network:
        """A network from a model in memory. Shapes that it does not state are inferred."""
        return cls(model if is_annotated(model.graph) else annotate(model))

    def tensor(self, name: str) -> TensorInfo:
        """The tensor of this name; PartitionError if the network computes no such tensor."""
        try:
            return self._tensors[name]
        except KeyError:
            raise PartitionError(f"the network has no tensor {name!r}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        """The sizes, at batch 1, of a tensor, of a weight, or of what is computed from weights alone."""
        if name in self.weights:
            return self.weights[name].shape
        return tuple(size or 1 for size in self._constants.get(name) or self.tensor(name).shape)

    def needed(self, available: Collection[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """The fewest of the `available` tensors from which `outputs` can be computed, in the order given."""
        _, reached = self._walk(available, outputs)
        return tuple(name for name in available if name in reached)

    def behind(self, alive: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What crosses a cut where the tensors `alive` are: those that the rest reads, and the outputs that it gives.

        Outputs that are known before the cut do not cross it, unless the rest reads them.
        """
        outputs = tuple(name for name in self.graph.outputs if name not in alive)
        return (tuple(alive) if len(outputs) == len(self.graph.outputs) else self.needed(alive, outputs)), outputs

    def subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> Subgraph:
        """The part that computes `outputs` from `inputs`.

        PartitionError if a name is unknown, given twice or not needed, or if an input is missing, which it names.
        """
        self._check(inputs, outputs)
        indices, reached = self._walk(inputs, outputs)
        if idle := [name for name in inputs if name not in reached]:
            raise PartitionError(f"{idle} are not needed to compute {list(outputs)}")
        part = onnx.GraphProto(name="segment")
        part.node.extend(self.graph.nodes[index] for index in indices)
        part.input.extend(self._values[name] for name in inputs)
        part.output.extend(self._values[name] for name in outputs)
        return assemble(part, self._frame, {name: self.weights[name] for name in sorted(reached & self.weights.keys())})

    def _check(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        names = [*inputs, *outputs]
        for name in names:
            self.tensor(name)
        if not inputs or not outputs:
            raise PartitionError("a part of a network needs at least one input and one output")
        if len(set(names)) < len(names):
            raise PartitionError(f"a tensor is named twice among inputs {list(inputs)} and outputs {list(outputs)}")

    def _walk(self, available: Collection[str], outputs: Sequence[str]) -> tuple[list[int], set[str]]:
        given = set(available)
        indices, reached = self.graph.upstream(outputs, given)
        if missing := sorted(reached.intersection(self.graph.inputs) - given):
            raise PartitionError(f"{list(outputs)} cannot be computed from {sorted(given)}: {missing} are missing")
        return indices, reached


def _needed_part(
    graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], weights: Collection[str]
) -> tuple[Graph, set[str]]:
    """The graph without nodes and inputs that no output needs, and the names of all that remains."""
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    whole = Graph(nodes, inputs=inputs, outputs=outputs, weights=weights)
    if unfed := whole.constants.intersection(outputs):
        raise PartitionError(f"the outputs {sorted(unfed)} do not depend on the input")
    indices, reached = whole.upstream(outputs, ())
    used = [name for name in inputs if name in reached]
    return Graph(
        [_copy(whole.nodes[index]) for index in indices], inputs=used, outputs=outputs, weights=weights
    ), reached


def _copy(message: _Message) -> _Message:
    """A message keeps the memory of all its parents alive, stored weights included; a copy lets go of them."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
