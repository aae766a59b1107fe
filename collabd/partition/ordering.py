"""Order the nodes so that few bytes are alive at once. That gives cheap places to cut, and saves memory in runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx

from .graph import Graph
from .shapes import TensorInfo, annotate


def order(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, annotated, with its nodes reordered. The peak of the bytes alive does not grow.

    There are four orders: the given one, a greedy one, and either with nodes delayed until their results are read. The
    one with the lowest peak is taken; of equals the one with the lowest sum over all positions.
    """
    annotated = annotate(model)
    sizes = _sizes(annotated.graph)
    given = _graph_of(annotated, annotated.graph.node)
    greedy = _graph_of(annotated, _greedy(given, sizes))
    delayed = [_graph_of(annotated, _delayed(graph, sizes)) for graph in (given, greedy)]
    best = min(given, greedy, *delayed, key=lambda graph: _burden(graph, sizes))
    del annotated.graph.node[:]
    annotated.graph.node.extend(best.nodes)
    return annotated


def _graph_of(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> Graph:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    return Graph(nodes, inputs=inputs, outputs=[value.name for value in model.graph.output], weights=weights)


def _sizes(graph: onnx.GraphProto) -> dict[str, int]:
    return {value.name: TensorInfo.of(value).nbytes for value in (*graph.input, *graph.output, *graph.value_info)}


def _burden(graph: Graph, sizes: Mapping[str, int]) -> tuple[int, int]:
    alive = [sum(sizes[name] for name in frontier) for frontier in graph.frontiers]
    return max(alive), sum(alive)


def _greedy(graph: Graph, sizes: Mapping[str, int]) -> list[onnx.NodeProto]:
    """Run next the node that leaves the fewest bytes alive; of equals the one that became ready last, which finishes
    branches."""
    readers = graph.readers
    left = {name: set(indices) for name, indices in readers.items()}
    waiting = [{graph.producer[name] for name in reads if name in graph.producer} for reads in graph.reads]

    def growth(index: int) -> int:
        freed = (name for name in graph.reads[index] if left[name] == {index} and name not in graph.outputs)
        return _total(graph, sizes, graph.writes[index]) - _total(graph, sizes, freed)

    ready = [index for index, before in enumerate(waiting) if not before]
    chosen: list[int] = []
    while ready:
        index = min(reversed(ready), key=growth)
        ready.remove(index)
        chosen.append(index)
        for name in graph.reads[index]:
            left[name].discard(index)
        for follower in sorted({reader for name in graph.writes[index] for reader in readers.get(name, ())}):
            waiting[follower].discard(index)
            if not waiting[follower]:
                ready.append(follower)
    return [graph.nodes[index] for index in chosen]


def _delayed(graph: Graph, sizes: Mapping[str, int]) -> list[onnx.NodeProto]:
    """Move each node to just before the first reader of its results, unless that keeps more alive than it saves."""
    queue = list(range(len(graph.nodes)))
    for index in reversed(range(len(graph.nodes))):
        followers = {reader for name in graph.writes[index] for reader in graph.readers.get(name, ())}
        target = min((queue.index(follower) for follower in followers), default=0)
        before = set(queue[:target]) - {index}
        held = [name for name in graph.reads[index] if before.issuperset(set(graph.readers[name]) - {index})]
        if target and _total(graph, sizes, graph.writes[index]) >= _total(graph, sizes, held):
            queue.insert(target - 1, queue.pop(queue.index(index)))
    return [graph.nodes[index] for index in queue]


def _total(graph: Graph, sizes: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(sizes[name] for name in names if name not in graph.constants)
