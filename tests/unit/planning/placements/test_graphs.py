"""Placements of real graphs: a DAG is a chain of its frontiers, since all that is alive crosses."""

from __future__ import annotations

from itertools import pairwise, product

import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from collabd.partition import LayerSpec, Network, layers, order
from collabd.planning import CallFacts, Caps, CloudState, DeviceState
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.placements.search import place
from collabd.planning.placements.trellis import Pins
from tests.unit.partition.graphs import models

DEVICE = DeviceState(speed=1.0, spread=0.0, busy_w=5.0, idle_w=2.0, tx_w_per_mbps=0.0, tx_base_w=0.0)


def lossless(network: Network, tensors: tuple[str, ...]) -> tuple[CrossingOption, ...]:
    return (CrossingOption(codec="f32", sent_bytes=sum(network.tensor(name).nbytes for name in tensors)),)


def chain_of(network: Network, found: tuple[LayerSpec, ...], speeds: list[float]) -> Chain:
    """A layer takes 1 µs and as many ns as it has multiply-accumulates; on the companion `speeds` times that."""
    device_s = tuple(1e-6 + 1e-9 * layer.macs for layer in found)
    frontiers = [("image",), *(layer.tensors for layer in found)]
    ways = tuple(lossless(network, tensors) for tensors in frontiers)
    cloud_s = tuple(seconds * speed for seconds, speed in zip(device_s, speeds, strict=True))
    return Chain(cloud=0, device_s=device_s, cloud_s=cloud_s, up=ways[:-1], down=ways[1:])


def alive(network: Network, found: tuple[LayerSpec, ...], k: int) -> int:
    """Bytes of what the layers from `k` on need of the image and of the layers before, node by node."""
    position = found[k - 1].end_node if k else 0
    before = {"image", *(name for node in network.graph.nodes[:position] for name in node.output)}
    after = {name for node in network.graph.nodes[position:] for name in node.input} | {"logits"}
    return sum(network.tensor(name).nbytes for name in before & after - network.graph.constants)


@settings(max_examples=50)
@given(models(), st.data(), st.floats(-10, -6), st.floats(0, 1e-6), st.integers(0, 1))
def test_no_other_placement_of_the_layers_is_faster(
    model: onnx.ModelProto, data: st.DataObject, rate: float, offset_s: float, pinned: int
) -> None:
    network = Network.from_proto(order(model))
    found = layers(network)
    assume(len(found) <= 9)
    speeds = data.draw(st.lists(st.sampled_from([0.1, 0.5, 2.0]), min_size=len(found), max_size=len(found)))
    chain = chain_of(network, found, speeds)
    crossing_s = [10**rate * alive(network, found, k) for k in range(len(found) + 1)]

    def seconds(letters: str) -> float:
        times = (chain.device_s if letter == "D" else chain.cloud_s for letter in letters)
        run_s = sum(side[k] for k, side in enumerate(times))
        crossings = [k for k, (a, b) in enumerate(pairwise(f"D{letters}D")) if a != b]
        return run_s + sum(crossing_s[k] for k in crossings) + offset_s * len(crossings) / 2

    cloud = CloudState(
        name="pc",
        up=True,
        rtt_s=offset_s,
        up_s_per_byte=10**rate,
        down_s_per_byte=10**rate,
        link_spread=0.0,
        speed=1.0,
        speed_spread=0.0,
        queue_s=0.0,
    )
    pins = Pins(first=pinned, last=pinned)
    got = place(
        [chain], device=DEVICE, clouds=[cloud], call=CallFacts(0.0, (0.0,), None), caps=Caps(), quantile=0.5, pins=pins
    )
    free = "DC" if not pinned else "D"
    ends = (free, *["DC"] * (len(found) - 2), free) if len(found) > 1 else (free,)
    best = min(seconds("".join(letters)) for letters in product(*ends))
    assert seconds(got.letters) == pytest.approx(best, rel=1e-9)
    assert float(got.prediction.latency_s[0]) == pytest.approx(best, rel=1e-9)
