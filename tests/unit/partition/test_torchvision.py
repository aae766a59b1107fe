"""Split equals whole on real architectures, and the cuts kept are about as good as the best there are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import onnx
import pytest

from collabd.engine import Engine
from collabd.partition import CutSpec, Network, candidate_cuts, layers, segment
from tests.unit.partition.min_cut import min_cut
from tests.unit.partition.test_min_cut import Link, Split

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def engine(torchvision_network: Network) -> Engine:
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("network", torchvision_network)
    return engine


@pytest.fixture(scope="module")
def images(torchvision_network: Network) -> dict[str, np.ndarray]:
    (image,) = torchvision_network.inputs
    shape = (2, *(size or 1 for size in image.shape[1:]))
    return {image.name: np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)}


@pytest.fixture(scope="module")
def scores(torchvision_network: Network, engine: Engine, images: Mapping[str, np.ndarray]) -> np.ndarray:
    return engine.run("network", images, ["logits"])["logits"]


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_head_then_tail_equals_whole_at_every_candidate_cut(
    torchvision_network: Network, engine: Engine, images: Mapping[str, np.ndarray], scores: np.ndarray
) -> None:
    cuts = candidate_cuts(torchvision_network, layers(torchvision_network))
    assert len(cuts) >= 5
    for cut in cuts[1:]:
        features = engine.run("network", images, cut.tensors)
        tail = engine.run("network", features, ["logits"])
        assert error(tail["logits"], scores) <= TOLERANCE, cut.name


def test_a_placement_with_many_crossings_equals_whole(
    torchvision_network: Network, engine: Engine, images: Mapping[str, np.ndarray], scores: np.ndarray
) -> None:
    found = layers(torchvision_network)
    frontiers = [tuple(images), *(layer.tensors for layer in found)]
    crossings = sorted(np.random.default_rng(9).choice(range(1, len(found)), 8, replace=False).tolist())
    alive = dict(images)
    for start, end in zip([0, *crossings], [*crossings, len(found)], strict=True):
        inputs, outputs = segment(torchvision_network, frontiers, start=start, end=end)
        alive |= engine.run("network", {name: alive[name] for name in inputs}, outputs)
        alive = {name: alive[name] for name in frontiers[end]}
    assert error(alive["logits"], scores) <= TOLERANCE


def test_layers_hold_all_work_and_have_their_own_names(torchvision_network: Network) -> None:
    found = layers(torchvision_network)
    assert len({layer.name for layer in found}) == len(found)
    assert found[-1].tensors == ("logits",)
    assert found[-1].end_node == len(torchvision_network.graph.nodes)
    weighty = [node for node in torchvision_network.graph.nodes if node.op_type in {"Conv", "Gemm"}]
    assert sum(layer.macs > 0 for layer in found) == len(weighty)


def test_the_extractor_of_onnx_finds_the_same_nodes(torchvision_network: Network) -> None:
    network = torchvision_network
    graph = onnx.helper.make_graph(
        network.graph.nodes,
        "whole",
        [network._values[info.name] for info in network.inputs],
        [network._values[info.name] for info in network.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in network.weights.items()],
        value_info=[value for name, value in network._values.items() if name not in {"image", "logits"}],
    )
    extractor = onnx.utils.Extractor(onnx.helper.make_model(graph, opset_imports=network._frame.opset_import))
    for cut in candidate_cuts(network, layers(network))[1:]:
        for inputs, outputs in ((["image"], list(cut.tensors)), (list(cut.tensors), ["logits"])):
            theirs = extractor.extract_model(inputs, outputs).graph
            ours = network.subgraph(inputs, outputs)
            mine = onnx.load_from_string(ours.model).graph
            assert [node.output for node in mine.node] == [node.output for node in theirs.node]
            names = {tensor.name for tensor in mine.initializer} | ours.weights.keys()
            assert names == {tensor.name for tensor in theirs.initializer}


@pytest.mark.parametrize("bytes_per_mac", [1e-4, 3e-4, 1e-3, 1e-2])
def test_the_best_candidate_is_near_the_best_of_all_cuts(torchvision_network: Network, bytes_per_mac: float) -> None:
    """A MAC takes 4 s on the device, where the first layer stays, and 1 s on the cloud; the link has the given rate."""
    found = layers(torchvision_network)
    work = [layer.macs for layer in found]

    def seconds(cut: CutSpec) -> float:
        sent = sum(torchvision_network.tensor(name).nbytes for name in cut.tensors)
        return 4 * sum(work[: cut.head_layers]) + sum(work[cut.head_layers :]) + sent / bytes_per_mac

    cuts = candidate_cuts(torchvision_network, found)
    best = min(4 * sum(work), *(seconds(cut) for cut in cuts[1:]))
    optimum = min_cut(torchvision_network, found, device=4, cloud=1, per_byte=1 / bytes_per_mac, image_leaves=False)
    assert optimum * (1 - 1e-9) <= best <= 1.01 * optimum


def test_the_plan_chosen_is_near_the_best_of_all_cuts(torchvision_network: Network) -> None:
    """At 0.3 to 300 Mbit/s, to companions 2 to 20 times as fast, whether or not the image itself may leave."""
    split = Split(torchvision_network)
    for megabits, speed, image_leaves in product((0.3, 1, 3, 10, 30, 100, 300), (0.05, 0.5), (True, False)):
        link = Link(0.005, 8 / (megabits * 1e6), speed, image_leaves)
        optimum = split.optimum_s(link)
        assert optimum * (1 - 1e-9) <= split.chosen_s(link) <= 1.01 * optimum, link
