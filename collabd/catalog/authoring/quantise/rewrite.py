"""The graph of a network in which chosen layers compute with integers. All tensors keep their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from collabd.catalog.authoring.quantise.scheme import IntegerLayer, rounded
from collabd.catalog.authoring.quantise.steps import Range, Seen, feature_steps, quantised_weight
from collabd.partition import Network, annotate


def with_integers(
    model: onnx.ModelProto, network: Network, *, layers: Sequence[IntegerLayer], seen: Seen
) -> onnx.ModelProto:
    """`model`, whose network is `network`, with `layers` in integers; `seen` is of all that may be rounded.

    The runtime finds quantised operators between a DequantizeLinear and a QuantizeLinear. Behind what computes a
    tensor there is a pair of them, and another one before what reads it: so a part of the network that ends at the
    tensor computes with integers to its end, one that begins there does so from its beginning, and as a second
    rounding changes nothing, both together give what the whole gives. Within one part the runtime removes one pair.
    """
    graph = _Graph(network)
    for name, source in rounded(network, layers).items():
        graph.round(name, seen.ranges[source])
    for layer in layers:
        graph.store(layer, seen.means[layer.reads, layer.channels])
    made = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    made.graph.CopyFrom(
        onnx.GraphProto(name=model.graph.name, input=model.graph.input, output=model.graph.output, node=graph.nodes())
    )
    made.graph.initializer.extend(graph.weights())
    return annotate(made)


class _Graph:
    """Nodes and weights of a network while it is rewritten."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._scales: dict[str, tuple[str, str]] = {}
        self._steps: dict[str, np.float32] = {}
        self._stored: dict[str, np.ndarray] = {}
        # What a node reads instead, by node and name.
        self._instead: dict[tuple[int, str], str] = {}
        self._before: list[onnx.NodeProto] = []

    def round(self, name: str, seen: Range) -> None:
        """Round the tensor `name` to 8 bits, with steps for the range `seen`."""
        steps = feature_steps(seen)
        self._scales[name] = (
            self._new(f"{name}:scale", np.asarray(steps.scale)),
            self._new(f"{name}:zero", np.asarray(steps.zero)),
        )
        self._steps[name] = steps.scale

    def store(self, layer: IntegerLayer, means: np.ndarray) -> None:
        """Store the weight and the bias of a layer as integers. `means`: of the channels of its features."""
        weights = self._network.weights
        found = quantised_weight(
            weights[layer.weight],
            None if layer.bias is None else weights[layer.bias],
            axis=layer.axis,
            feature_scale=self._steps[layer.reads],
            means=means,
        )
        name = f"{layer.name}:weight"
        scales = self._new(f"{name}:scale", found.scales)
        zeros = self._new(f"{name}:zero", np.zeros(len(found.scales), np.int8))
        self._instead[layer.node, layer.weight] = self._widened(
            name, found.values, scales=scales, zeros=zeros, axis=layer.axis
        )
        if layer.bias is not None and found.bias is not None:
            name = f"{layer.name}:bias"
            scales = self._new(f"{name}:scale", found.scales * self._steps[layer.reads])
            zeros = self._new(f"{name}:zero", np.zeros(len(found.scales), np.int32))
            self._instead[layer.node, layer.bias] = self._widened(name, found.bias, scales=scales, zeros=zeros, axis=0)

    def nodes(self) -> list[onnx.NodeProto]:
        """All nodes, in order."""
        made = list(self._before)
        for name in self._network.graph.inputs:
            if name in self._scales:
                made += self._pair(name, name, f"{name}:again")
        for index, node in enumerate(self._network.graph.nodes):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for place, read in enumerate(node.input):
                again = f"{read}:again" if read in self._scales else read
                copy.input[place] = self._instead.get((index, read), again)
            made.append(copy)
            for place, name in enumerate(node.output):
                if name in self._scales:
                    copy.output[place] = f"{name}:exact"
                    made += self._pair(name, f"{name}:exact", name)
                    made += self._pair(f"{name}", name, f"{name}:again")
        return made

    def weights(self) -> list[onnx.TensorProto]:
        """All weights that are still read."""
        read = {name for node in self.nodes() for name in node.input}
        known = self._network.weights | self._stored
        return [numpy_helper.from_array(array, name) for name, array in known.items() if name in read]

    def _pair(self, name: str, source: str, target: str) -> list[onnx.NodeProto]:
        stored = f"{target}:u8"
        return [
            helper.make_node("QuantizeLinear", [source, *self._scales[name]], [stored]),
            helper.make_node("DequantizeLinear", [stored, *self._scales[name]], [target]),
        ]

    def _widened(self, name: str, values: np.ndarray, *, scales: str, zeros: str, axis: int) -> str:
        stored = self._new(f"{name}:stored", values)
        self._before.append(helper.make_node("DequantizeLinear", [stored, scales, zeros], [name], axis=axis))
        return name

    def _new(self, name: str, array: np.ndarray) -> str:
        self._stored[name] = array
        return name
