"""What must hold on any graph: random DAGs with branches, several frontier tensors, shape arithmetic and dead ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from collabd.engine import Engine
from collabd.partition import LayerSpec, Network, candidate_cuts, layers, order, segment

SIDE = 6
EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)
FEED = {"image": np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 2), dtype=np.uint8)}


class Sketch:
    """A graph in the making; every feature is float32 [batch, channels, 6, 6]."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self.channels: dict[str, int] = {}

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], channels: int, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        self.channels[name] = channels
        return name

    def conv(self, x: str, channels: int, size: int) -> str:
        kernel = self.rng.standard_normal((channels, self.channels[x], size, size)) / (self.channels[x] * size)
        return self.node("Conv", [x, self.weight(kernel.astype(np.float32))], channels, pads=[size // 2] * 4)

    def concat(self, x: str, y: str) -> str:
        return self.node("Concat", [x, y], self.channels[x] + self.channels[y], axis=1)

    def add(self, x: str, y: str) -> str:
        return self.node("Add", [x, self.conv(y, self.channels[x], 1)], self.channels[x])

    def gate(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x], self.channels[x])], self.channels[x])

    def pool(self, x: str) -> str:
        return self.node("MaxPool", [x], self.channels[x], kernel_shape=[3, 3], pads=[1] * 4)

    def fold(self, x: str) -> str:
        """There and back by way of the tensor's own shape, an integer tensor that stays alive meanwhile."""
        shape = self.node("Shape", [x], 0)
        flat = self.node("Flatten", [self.node("Relu", [x], self.channels[x])], 0)
        return self.node("Reshape", [flat, shape], self.channels[x])

    def scale(self, x: str) -> str:
        """By a factor that is itself computed from weights alone."""
        halves = [self.weight(self.rng.random((1, self.channels[x], 1, 1), np.float32)) for _ in range(2)]
        return self.node("Mul", [x, self.node("Add", halves, 0)], self.channels[x])

    def model(self, features: Sequence[str]) -> onnx.ModelProto:
        x = self.node("Concat", features, sum(self.channels[name] for name in features), axis=1)
        matrix = self.rng.standard_normal((self.channels[x], 3)).astype(np.float32)
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [x], self.channels[x])], 0)
        self.nodes.append(helper.make_node("Gemm", [pooled, self.weight(matrix)], ["logits"]))
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 2])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
        graph = helper.make_graph(self.nodes, "random", [image], [logits], self.weights)
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@st.composite
def models(draw: st.DrawFn, chain: bool = False) -> onnx.ModelProto:
    """A chain, or a DAG in which any feature may be used again, or never."""
    sketch = Sketch(draw(st.integers(0, 2**16)))
    planes = sketch.node("Transpose", ["image"], 2, perm=[0, 3, 1, 2])
    start = sketch.node("Cast", [planes], 2, to=TensorProto.FLOAT)
    features = [sketch.conv(sketch.scale(start), 3, 3)]
    for kind in draw(st.lists(st.sampled_from("crrmgfsap"), min_size=1, max_size=9)):
        x = features[-1] if chain else draw(st.sampled_from(features))
        y = x if chain else draw(st.sampled_from(features))
        features.append(_grown(sketch, kind, x, y, draw(st.integers(1, 5))))
    used = features[-1:] if chain else draw(st.lists(st.sampled_from(features), min_size=1, max_size=3, unique=True))
    return sketch.model(used)


def _grown(sketch: Sketch, kind: str, x: str, y: str, channels: int) -> str:
    grow = {
        "c": lambda: sketch.conv(x, channels, 3),
        "r": lambda: sketch.node("Relu", [x], sketch.channels[x]),
        "m": lambda: sketch.concat(x, y) if sketch.channels[x] + sketch.channels[y] < 16 else sketch.pool(x),
        "g": lambda: sketch.gate(x),
        "f": lambda: sketch.fold(x),
        "s": lambda: sketch.scale(x),
        "a": lambda: sketch.add(x, y),
        "p": lambda: sketch.pool(x),
    }
    return grow[kind]()


ANY = st.one_of(models(), models(chain=True))


def _engine(network: Network) -> Engine:
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("network", network)
    return engine


def _agree(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    limit = 1e-4 * max(1e-3, float(np.abs(wanted["logits"]).max()))
    np.testing.assert_allclose(found["logits"], wanted["logits"], rtol=0, atol=limit)


def _frontiers(found: Sequence[LayerSpec]) -> list[tuple[str, ...]]:
    return [("image",), *(layer.tensors for layer in found)]


@EXAMPLES
@given(ANY)
def test_every_layer_boundary_splits_right(model: onnx.ModelProto) -> None:
    network = Network.from_proto(order(model))
    engine = _engine(network)
    whole = engine.run("network", FEED, ["logits"])
    for layer in layers(network)[:-1]:
        features = engine.run("network", FEED, layer.tensors)
        _agree(engine.run("network", features, ["logits"]), whole)


@EXAMPLES
@given(ANY, st.data())
def test_any_placement_run_segment_by_segment_equals_whole(model: onnx.ModelProto, data: st.DataObject) -> None:
    network = Network.from_proto(order(model))
    found = layers(network)
    frontiers = _frontiers(found)
    placement = data.draw(st.lists(st.sampled_from("DC"), min_size=len(found), max_size=len(found)))
    crossings = [index for index in range(1, len(found)) if placement[index] != placement[index - 1]]
    engine = _engine(network)
    alive = dict(FEED)
    for start, end in zip([0, *crossings], [*crossings, len(found)], strict=True):
        inputs, outputs = segment(network, frontiers, start, end)
        alive |= engine.run("network", {name: alive[name] for name in inputs}, outputs)
        alive = {name: alive[name] for name in frontiers[end]}
    _agree(alive, engine.run("network", FEED, ["logits"]))


@EXAMPLES
@given(ANY)
def test_without_any_tensor_of_a_frontier_head_work_would_be_repeated(model: onnx.ModelProto) -> None:
    network = Network.from_proto(model)
    for position, frontier in enumerate(network.graph.frontiers[:-1]):
        assert _first_node(network, frontier) >= position
        for name in frontier:
            rest = [other for other in frontier if other != name]
            assert _first_node(network, rest) < position


def _first_node(network: Network, available: Sequence[str]) -> int:
    """The first node on the way from `available` to the output that depends on the image; -1 if that is needed too."""
    indices, reached = network.graph.upstream(["logits"], available)
    if "image" in reached - set(available):
        return -1
    return min(index for index in indices if not network.graph.constants.issuperset(network.graph.writes[index]))


@EXAMPLES
@given(ANY)
def test_ordering_keeps_the_nodes_and_never_raises_the_peak(model: onnx.ModelProto) -> None:
    ordered = order(model)
    before, after = Network.from_proto(model), Network.from_proto(ordered)
    assert _peak(after) <= _peak(before)
    assert sorted(map(str, ordered.graph.node)) == sorted(map(str, model.graph.node))
    _agree(_engine(after).run("network", FEED, ["logits"]), _engine(before).run("network", FEED, ["logits"]))


def _peak(network: Network) -> int:
    return max(sum(network.tensor(name).nbytes for name in frontier) for frontier in network.graph.frontiers)


@EXAMPLES
@given(ANY, st.integers(2, 6))
def test_no_candidate_is_dominated(model: onnx.ModelProto, limit: int) -> None:
    network = Network.from_proto(order(model))
    found = layers(network)
    cuts = candidate_cuts(network, found, limit)
    assert len(cuts) <= limit
    assert (cuts[0].name, cuts[0].head_layers, cuts[0].tensors) == ("image", 0, ("image",))
    alive = [sum(network.tensor(name).nbytes for name in cut.tensors) for cut in cuts[1:]]
    assert alive == sorted(set(alive), reverse=True)
    heads = [cut.head_layers for cut in cuts]
    assert heads == sorted(set(heads))
    assert heads[-1] < len(found)
    assert all(cut.tensors == found[cut.head_layers - 1].tensors for cut in cuts[1:])


@EXAMPLES
@given(ANY)
def test_layers_hold_each_node_once_under_unique_names(model: onnx.ModelProto) -> None:
    network = Network.from_proto(model)
    found = layers(network)
    ends = [layer.end_node for layer in found]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(network.graph.nodes)
    assert len({layer.name for layer in found}) == len(found)
    assert [layer.tensors for layer in found] == [network.graph.frontiers[end] for end in ends]
