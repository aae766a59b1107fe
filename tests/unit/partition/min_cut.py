"""The best there is of one crossing: any assignment of the nodes, not only those behind a position (max-flow)."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from collabd.partition import LayerSpec, Network


def min_cut(
    network: Network,
    found: Sequence[LayerSpec],
    *,
    device: float,
    cloud: float,
    per_byte: float,
    image_leaves: bool,
) -> float:
    """The least seconds of any assignment of nodes to device and cloud that crosses once, at most.

    A multiply-accumulate takes `device` seconds on the one and `cloud` on the other, a byte `per_byte`. The image
    starts on the device; unless it leaves, the first layer stays there too.
    """
    flow = nx.DiGraph()
    graph = network.graph
    for index, macs in _macs(network, found).items():
        flow.add_edge("device", index, capacity=macs * cloud)
        flow.add_edge(index, "cloud", capacity=macs * device)
    for name in graph.last_use:
        if name in graph.constants or name in graph.outputs:
            continue
        producer = graph.producer.get(name, "device")
        stays = not image_leaves and (name not in graph.producer or graph.producer[name] < found[0].end_node - 1)
        flow.add_edge(producer, name, **({} if stays else {"capacity": network.tensor(name).nbytes * per_byte}))
        for reader in graph.readers[name]:
            flow.add_edge(name, reader)
            flow.add_edge(reader, producer)
    return float(nx.minimum_cut_value(flow, "device", "cloud"))


def _macs(network: Network, found: Sequence[LayerSpec]) -> dict[int, int]:
    """The multiply-accumulates of each node; a layer has no more than one that has any."""
    nodes = network.graph.nodes
    macs = dict.fromkeys(range(len(nodes)), 0)
    start = 0
    for layer in found:
        weighty = [index for index in range(start, layer.end_node) if nodes[index].op_type in {"Conv", "Gemm"}]
        assert len(weighty) <= 1
        macs |= dict.fromkeys(weighty, layer.macs)
        start = layer.end_node
    return macs
