"""Group the nodes into layers: the smallest units that a placement puts on one machine or the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from .network import Network

_POOLING = frozenset({"AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"})
_COUNTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SUBSTANCE = _COUNTED | _POOLING
# Besides those that are counted: what may take most of a network's time.
_UNCOUNTED = frozenset(
    {
        "Attention", "ConvInteger", "DeformConv", "Einsum", "GRU", "If", "LSTM", "Loop", "MatMulInteger", "QLinearConv",
        "QLinearMatMul", "RNN", "Scan",
    }
)  # fmt: skip
ACTIVATIONS = frozenset(
    {
        "Celu", "Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Mish", "PRelu",
        "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
_VIEWS = frozenset(
    {"Cast", "Dropout", "Expand", "Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Transpose", "Unsqueeze"}
)


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """Neighbouring nodes, up to but not including ``end_node``, that are placed together.

    ``tensors`` is the frontier behind the layer, ``macs`` counts its multiply-accumulates at batch 1.
    """

    name: str
    op: str
    tensors: tuple[str, ...]
    macs: int
    end_node: int


def layers(network: Network) -> tuple[LayerSpec, ...]:
    """The layers of a network in execution order; together they hold every node."""
    ends = _ends(network)
    starts = [0, *ends[:-1]]
    return tuple(_layer(network, start, end) for start, end in zip(starts, ends, strict=True))


def decoder_start(network: Network) -> int:
    """How many nodes the network proper has. Those behind only choose, resize or rewrite what it found.

    All nodes, if none of them is a convolution, a matrix product or the like.
    """
    works = [index for index, node in enumerate(network.graph.nodes) if node.op_type in _COUNTED | _UNCOUNTED]
    return works[-1] + 1 if works else len(network.graph.nodes)


def _ends(network: Network) -> list[int]:
    graph = network.graph
    first = next((index for index, node in enumerate(graph.nodes) if node.op_type in _SUBSTANCE), len(graph.nodes))
    count = len(graph.nodes)
    while count > 1 and _is_passive(network, count - 1):
        count -= 1
    ends = [position for position in range(first + 1, count) if _is_boundary(network, position)]
    return [*ends, len(graph.nodes)]


def _is_passive(network: Network, index: int) -> bool:
    """Whether a node computes nothing new from the input: it is a view, or works on constants."""
    return network.graph.nodes[index].op_type in _VIEWS or network.graph.constants.issuperset(
        network.graph.writes[index]
    )


def _is_boundary(network: Network, position: int) -> bool:
    graph = network.graph
    frontier = graph.frontiers[position]
    made = [name for name in graph.writes[position - 1] if name in frontier]
    if _is_passive(network, position - 1) or not made or not all(_may_cross(network, name) for name in frontier):
        return False
    node = graph.nodes[position - 1]
    if _features(network, frontier) == made or node.op_type in _SUBSTANCE | {"Concat", "QuantizeLinear"}:
        return True
    return node.op_type in ACTIVATIONS and node.input[0] not in frontier


def _may_cross(network: Network, name: str) -> bool:
    """Whether a tensor has a rank, and is none on which a cut would change what the runtime computes."""
    return network.tensor(name).has_rank and not _is_inside_quantised(network, name)


def _is_inside_quantised(network: Network, name: str) -> bool:
    """Whether a tensor is a float between quantised ones, where the runtime computes from integers to integers.

    A cut there would split the runtime's integer operator, and round differently from the whole network.
    """
    graph = network.graph
    maker = graph.producer.get(name)
    if maker is not None and graph.nodes[maker].op_type == "DequantizeLinear":
        return True
    return any(graph.nodes[reader].op_type == "QuantizeLinear" for reader in graph.readers.get(name, ()))


def _features(network: Network, frontier: Sequence[str]) -> list[str]:
    """A frontier without wide integers, which hold shapes and indices, and nothing of the picture."""
    return [name for name in frontier if network.tensor(name).dtype not in (np.int32, np.int64)]


def _layer(network: Network, start: int, end: int) -> LayerSpec:
    nodes = network.graph.nodes[start:end]
    frontier = network.graph.frontiers[end]
    written = network.graph.writes[end - 1]
    name = next((name for name in written if name in frontier), written[0])
    return LayerSpec(
        name=name, op=_op(nodes), tensors=frontier, macs=sum(_macs(network, node) for node in nodes), end_node=end
    )


def _op(nodes: Sequence[onnx.NodeProto]) -> str:
    """The name of a group of nodes: its first node with substantial work, else its last that is no view."""
    ops = [node.op_type for node in nodes]
    weighty = [op for op in ops if op in _SUBSTANCE]
    return weighty[0] if weighty else next((op for op in reversed(ops) if op not in _VIEWS), ops[-1])


def _macs(network: Network, node: onnx.NodeProto) -> int:
    """Multiply-accumulates at batch 1 of a convolution or a matrix product; other operators, and unknown sizes: 0."""
    if node.op_type not in _COUNTED or network.graph.constants.issuperset(node.output):
        return 0
    if node.op_type == "ConvTranspose":
        return _elements(network, node.input[0]) * prod(network.shape(node.input[1])[1:])
    made = _elements(network, node.output[0])
    if node.op_type == "Conv":
        return made * prod(network.shape(node.input[1])[1:])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return made * network.shape(node.input[0])[0 if transposed else -1]


def _elements(network: Network, name: str) -> int:
    info = network.tensor(name)
    return info.nbytes // info.dtype.itemsize if info.is_sized else 0
