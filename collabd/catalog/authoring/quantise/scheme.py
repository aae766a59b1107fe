"""Which layers of a network may compute with integers, and which tensors are rounded to 8 bits for that."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from collabd.partition import Network

# ONNX Runtime joins these with the quantisation behind them, since they only cut off values.
_FUSED = frozenset({"Clip", "Relu"})
# They move values or choose among them, so what they give lies on the steps of what they read.
_MOVING = frozenset({"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, kw_only=True)
class IntegerLayer:
    """A convolution or matrix product that may compute with integers.

    `name`: of its output. `reads`: the features, whose channels lie along the axis `channels`. `rounds`: what of its
    results must be rounded, else the runtime computes with floats; None: it may give floats. `weight` and `bias` are
    stored; `axis` is that of the weight's output channels.
    """

    name: str
    node: int
    reads: str
    channels: int
    rounds: str | None
    weight: str
    bias: str | None
    axis: int
    macs: int


def integer_layers(network: Network) -> tuple[IntegerLayer, ...]:
    """The layers that may compute with integers, in graph order."""
    return tuple(_found(network))


def rounded(network: Network, layers: Collection[IntegerLayer]) -> dict[str, str]:
    """The tensors to round if `layers` compute with integers, each with the tensor whose range gives it its steps.

    What is only moved keeps its steps, so that it is moved as integers.
    """
    wanted = (name for layer in layers for name in (layer.reads, layer.rounds) if name is not None)
    steps = {name: name for name in wanted}
    for node in network.graph.nodes:
        if node.op_type in _MOVING and node.input[0] in steps and _is_feature(network, node.output[0]):
            steps[node.output[0]] = steps[node.input[0]]
    return {name: steps[name] for name in steps if name not in network.graph.outputs}


def _found(network: Network) -> Iterator[IntegerLayer]:
    for index, node in enumerate(network.graph.nodes):
        if (axis := _output_channels(network, node)) is None or not _is_feature(network, node.input[0]):
            continue
        if not network.tensor(node.output[0]).is_sized:
            continue
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        if bias is not None and not _is_bias(network, bias, network.weights[node.input[1]].shape[axis]):
            continue
        rounds = _end(network, node) if node.op_type == "Conv" else None
        if rounds in network.graph.outputs:
            continue
        yield IntegerLayer(
            name=node.output[0],
            node=index,
            reads=node.input[0],
            channels=1 if node.op_type == "Conv" else -1,
            rounds=rounds,
            weight=node.input[1],
            bias=bias,
            axis=axis,
            macs=_macs(network, node, axis),
        )


def _is_bias(network: Network, name: str, channels: int) -> bool:
    """Whether it is stored with one number for each output channel."""
    return name in network.weights and network.weights[name].shape == (channels,)


def _macs(network: Network, node: onnx.NodeProto, axis: int) -> int:
    made, weight = network.tensor(node.output[0]), network.weights[node.input[1]]
    return int(made.nbytes // made.dtype.itemsize * (weight.size // weight.shape[axis]))


def _output_channels(network: Network, node: onnx.NodeProto) -> int | None:
    """The axis of the output channels in the stored weight of a layer; None if it is no layer that may be quantised."""
    if len(node.input) < 2 or (weight := network.weights.get(node.input[1])) is None or weight.dtype != np.float32:
        return None
    numbers = {attribute.name: attribute for attribute in node.attribute}
    match node.op_type:
        case "Conv":
            return 0
        case "MatMul" if weight.ndim == 2:
            return 1
        case "Gemm" if not _set(numbers, "transA") and _plain(numbers):
            return 0 if _set(numbers, "transB") else 1
    return None


def _set(attributes: dict[str, onnx.AttributeProto], name: str) -> bool:
    return name in attributes and bool(attributes[name].i)


def _plain(attributes: dict[str, onnx.AttributeProto]) -> bool:
    """Whether a Gemm only multiplies and adds."""
    return all(attributes[name].f == 1.0 for name in ("alpha", "beta") if name in attributes)


def _end(network: Network, node: onnx.NodeProto) -> str:
    """The tensor behind a convolution that is rounded: behind its activation, where that is joined with it."""
    name: str = node.output[0]
    readers = network.graph.readers.get(name, ())
    if len(readers) == 1 and name not in network.graph.outputs:
        follower = network.graph.nodes[readers[0]]
        if follower.op_type in _FUSED and follower.input[0] == name:
            return str(follower.output[0])
    return name


def _is_feature(network: Network, name: str) -> bool:
    return (
        name not in network.graph.constants and name not in network.weights and network.tensor(name).dtype == np.float32
    )
