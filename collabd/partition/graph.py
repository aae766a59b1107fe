"""A graph as positions: which tensors each node reads and writes, and which are alive between two nodes.

Position ``p`` is before node ``p``: position 0 is before the first node, the last position is behind all nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

import onnx

from .errors import PartitionError


class Graph:
    """The data flow of a list of nodes in topological order. Tensors are known by name."""

    def __init__(
        self,
        nodes: Iterable[onnx.NodeProto],
        *,
        inputs: Iterable[str],
        outputs: Iterable[str],
        weights: Iterable[str],
    ) -> None:
        self.nodes = tuple(nodes)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.reads = tuple(reads_of(node) for node in self.nodes)
        self.writes = tuple(tuple(filter(None, node.output)) for node in self.nodes)
        self.producer = {name: index for index, names in enumerate(self.writes) for name in names}
        self.constants = self._constants(weights)

    def _constants(self, weights: Iterable[str]) -> frozenset[str]:
        """The weights and everything computed from them alone."""
        constants = set(weights)
        known = constants | set(self.inputs)
        for node, reads, writes in zip(self.nodes, self.reads, self.writes, strict=True):
            if missing := [name for name in reads if name not in known]:
                raise PartitionError(f"node {node.name or writes!r} reads {missing}, but no node before it gives that")
            known.update(writes)
            if constants.issuperset(reads) and not _is_random(node):
                constants.update(writes)
        return frozenset(constants)

    @cached_property
    def readers(self) -> dict[str, tuple[int, ...]]:
        """For each tensor the nodes that read it, in order."""
        found: dict[str, tuple[int, ...]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                found[name] = (*found.get(name, ()), index)
        return found

    @cached_property
    def last_use(self) -> dict[str, int]:
        """For each tensor the last node that reads it. Graph outputs are used behind the last node."""
        uses = {name: indices[-1] for name, indices in self.readers.items()}
        return uses | dict.fromkeys(self.outputs, len(self.nodes))

    @cached_property
    def frontiers(self) -> tuple[tuple[str, ...], ...]:
        """For each position the tensors alive there, oldest first, without weights and constants."""
        alive = dict.fromkeys(name for name in self.inputs if name in self.last_use)
        found = [tuple(alive)]
        for index, writes in enumerate(self.writes):
            alive |= dict.fromkeys(name for name in writes if name not in self.constants)
            alive = {name: None for name in alive if self.last_use.get(name, -1) > index}
            found.append(tuple(alive))
        return tuple(found)

    def upstream(self, outputs: Iterable[str], given: Collection[str]) -> tuple[list[int], set[str]]:
        """What computing `outputs` from `given` needs: the nodes, in order, and all tensors and weights."""
        indices: set[int] = set()
        reached: set[str] = set()
        pending = list(outputs)
        while pending:
            name = pending.pop()
            if name in reached:
                continue
            reached.add(name)
            if name in self.producer and name not in given:
                indices.add(self.producer[name])
                pending.extend(self.reads[self.producer[name]])
        return sorted(indices), reached


def reads_of(node: onnx.NodeProto) -> tuple[str, ...]:
    """What a node reads, and the outer tensors that its nested graphs (If, Loop, Scan) capture."""
    nested = [body for attribute in node.attribute for body in (*attribute.graphs, attribute.g)]
    captured = (name for body in nested for name in _captured(body))
    return tuple(dict.fromkeys((*filter(None, node.input), *captured)))


def _captured(body: onnx.GraphProto) -> list[str]:
    own = {value.name for value in (*body.input, *body.initializer)}
    own.update(name for node in body.node for name in node.output)
    reads = [name for node in body.node for name in reads_of(node)]
    return [name for name in (*reads, *(value.name for value in body.output)) if name not in own]


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type.startswith("Random") or node.op_type in {"Bernoulli", "Multinomial"}
