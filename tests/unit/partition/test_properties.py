"""What must hold on any graph: random DAGs with branches, several frontier tensors, shape arithmetic and dead ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from collabd.engine import Engine
from collabd.partition import LayerSpec, Network, candidate_cuts, layers, order, segment
from tests.unit.partition.graphs import ANY, SIDE

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)
FEED = {"image": np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 2), dtype=np.uint8)}


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
        inputs, outputs = segment(network, frontiers, start=start, end=end)
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
