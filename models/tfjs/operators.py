"""Each operator of TensorFlow in ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import NoReturn

import numpy as np
from onnx import helper

from collab_sdk.errors import InvalidPackage
from models.tfjs.graph import Node
from models.tfjs.tensors import CHANNELS_SECOND, Computed, Tensor, Writer

__all__ = ["OPERATORS", "Operator"]

_PADDINGS = {"SAME": {"auto_pad": "SAME_UPPER"}, "VALID": {}}
# From the tensors that the node reads to those that it gives.
Operator = Callable[[Writer, Node, Sequence[Tensor]], list[Tensor]]


def _convolution(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Filter: [height, width, channels in, channels out]."""
    image, kernel = inputs[0], _constant(node, inputs[1]).transpose(3, 2, 0, 1)
    reads = [_planes(writer, node, image), writer.weight(kernel, f"{node.name}.filter")]
    attributes = {**_window(node), "dilations": _sides(node, "dilations")}
    return [Computed(writer.node("Conv", reads, node.name, **attributes), CHANNELS_SECOND)]


def _depthwise(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Filter: [height, width, channels in, outputs for each channel]. The outputs of a channel are neighbours."""
    image, kernel = inputs[0], _constant(node, inputs[1]).transpose(2, 3, 0, 1)
    channels, each, *sides = kernel.shape
    weight = writer.weight(kernel.reshape(channels * each, 1, *sides), f"{node.name}.filter")
    attributes = {**_window(node), "dilations": _sides(node, "dilations"), "group": channels}
    reads = [_planes(writer, node, image), weight]
    return [Computed(writer.node("Conv", reads, node.name, **attributes), CHANNELS_SECOND)]


def _transposed_convolution(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Reads the output's shape, the filter and the image. Filter: [height, width, channels out, channels in]."""
    _, height, width, _ = map(int, _constant(node, inputs[0]))
    kernel, image = _constant(node, inputs[1]).transpose(3, 2, 0, 1), inputs[2]
    reads = [_planes(writer, node, image), writer.weight(kernel, f"{node.name}.filter")]
    if _sides(node, "dilations") != [1, 1]:
        _refuse(node, "a dilated filter")
    attributes = {**_window(node), "output_shape": [height, width]}
    return [Computed(writer.node("ConvTranspose", reads, node.name, **attributes), CHANNELS_SECOND)]


def _pool(operator: str) -> Operator:
    def pool(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
        image, window, sides = _computed(node, inputs[0]), _window(node), _sides(node, "ksize")
        if operator == "MaxPool" and "auto_pad" not in window:
            image, window["pads"] = _without_border(writer, image, least_side=min(sides))
        reads = [_planes(writer, node, image)]
        return [Computed(writer.node(operator, reads, node.name, kernel_shape=sides, **window), CHANNELS_SECOND)]

    return pool


def _without_border(writer: Writer, image: Computed, *, least_side: int) -> tuple[Computed, list[int]]:
    """What a Pad put -inf around, and the widths as `pads` of a MaxPool, which does the same by itself.

    A cut between the two would have to send the infinities. ONNX Runtime takes borders that are narrower than the
    window, of which the shorter side is `least_side`.
    """
    inner, widths = writer.bordered.get(image.name, (image.name, [0] * 8))
    outside = any(widths[place] for place in (0, 1, 4, 5))
    if image.axes != CHANNELS_SECOND or outside or max(widths) >= least_side:
        return image, [0] * 4
    return Computed(inner, image.axes), [*widths[2:4], *widths[6:8]]


def _resize(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    if node.flag("align_corners") or not node.flag("half_pixel_centers"):
        _refuse(node, "other than half-pixel centres")
    image, wanted = _planes(writer, node, inputs[0]), _constant(node, inputs[1])
    given = writer.sides(image)
    scale = (wanted / given).astype(np.float32)
    if (scale.astype(np.float64) * given != wanted).any():  # ONNX computes the size so, and rounds it down
        _refuse(node, f"{given} pixels to resize to {wanted.tolist()}, of which the ratio is no float32")
    scales = writer.weight(np.array([1, 1, *scale], np.float32), f"{node.name}.scales")
    way = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return [Computed(writer.node("Resize", [image, "", scales], node.name, **way), CHANNELS_SECOND)]


def _pad(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    image, each = _computed(node, inputs[0]), _constant(node, inputs[1])
    filled = _constant(node, inputs[2]) if len(inputs) > 2 else np.zeros((), np.float32)
    widths = each[list(image.axes)].T.reshape(-1).astype(np.int64)
    weights = [writer.weight(widths, f"{node.name}.widths"), writer.weight(filled, f"{node.name}.value")]
    padded = Computed(writer.node("Pad", [image.name, *weights], node.name), image.axes)
    if np.isneginf(filled):
        writer.bordered[node.name] = (image.name, widths.tolist())
    return [padded]


def _elementwise(operator: str, compute: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Operator:
    """An operator of two tensors, or of more that it reduces two by two. Constants are computed here."""

    def elementwise(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
        arrays = [each for each in inputs if isinstance(each, np.ndarray)]
        tensors = [each for each in inputs if isinstance(each, Computed)]
        if not tensors:
            return [reduce(compute, arrays)]
        first = tensors[0]
        if any(each.ndim != first.ndim for each in tensors) or any(each.ndim > first.ndim for each in arrays):
            _refuse(node, "tensors of different ranks")
        reads = [writer.ordered(each, first.axes, "").name for each in tensors]
        reads += [
            writer.ordered(array[(None,) * (first.ndim - array.ndim)], first.axes, f"{node.name}.constant{place}").name
            for place, array in enumerate(arrays)
        ]
        name = reads[0]
        for place, read in enumerate(reads[1:], 2):
            name = writer.node(operator, [name, read], node.name if place == len(reads) else f"{node.name}.{place}")
        return [Computed(name, first.axes)]

    return elementwise


def _alone(operator: str, attributes: Callable[[Node], Mapping[str, float]] = lambda _: {}) -> Operator:
    """An operator of one tensor that changes each value by itself."""

    def alone(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
        tensor = _computed(node, inputs[0])
        return [Computed(writer.node(operator, [tensor.name], node.name, **attributes(node)), tensor.axes)]

    return alone


def _relu6(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    tensor = _computed(node, inputs[0])
    bounds = [writer.weight(np.array(bound, np.float32), f"{node.name}.{bound}") for bound in (0, 6)]
    return [Computed(writer.node("Clip", [tensor.name, *bounds], node.name), tensor.axes)]


def _concatenate(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    *joined, axis = inputs
    first = next(each for each in joined if isinstance(each, Computed))
    reads = [writer.ordered(each, first.axes, f"{node.name}.{number}").name for number, each in enumerate(joined)]
    place = first.place(int(_constant(node, axis)))
    return [Computed(writer.node("Concat", reads, node.name, axis=place), first.axes)]


def _split(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    tensor, sizes, axis = _computed(node, inputs[0]), _constant(node, inputs[1]), _constant(node, inputs[2])
    names = [node.name, *(f"{node.name}:{place}" for place in range(1, len(sizes)))]
    reads = [tensor.name, writer.weight(sizes.astype(np.int64), f"{node.name}.sizes")]
    writer.nodes.append(helper.make_node("Split", reads, names, name=node.name, axis=tensor.place(int(axis))))
    return [Computed(name, tensor.axes) for name in names]


def _transpose(_: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    tensor, order = inputs[0], [int(axis) for axis in _constant(node, inputs[1])]
    return [tensor.transpose(order) if isinstance(tensor, np.ndarray) else tensor.transposed(order)]


def _reshape(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The batch stays open: the first size, 1 in TensorFlow.js, is copied from the tensor (0 in ONNX)."""
    tensor, sizes = _computed(node, inputs[0]), _constant(node, inputs[1]).astype(np.int64)
    if not len(sizes) or sizes[0] != 1:
        _refuse(node, f"{sizes.tolist()}, which does not keep the batch apart")
    shape = writer.weight(np.array([0, *sizes[1:]]), f"{node.name}.shape")
    plain = writer.ordered(tensor, tuple(range(tensor.ndim)), "")
    return [Computed(writer.node("Reshape", [plain.name, shape], node.name), tuple(range(len(sizes))))]


def _dense(_: Writer, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Reads indices [n, rank], the shape, values [n] and the value of all other places; constants alone."""
    indices, shape, values, default = (_constant(node, each) for each in inputs)
    dense = np.full(tuple(shape), default)
    dense[tuple(indices.T)] = values
    return [dense]


def _same(_writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    return [inputs[0]]


def _window(node: Node) -> dict[str, str | list[int]]:
    if (layout := node.text("data_format")) != "NHWC":
        _refuse(node, f"the layout {layout}")
    if (padding := node.text("padding")) not in _PADDINGS:
        _refuse(node, f"the padding {padding}")
    return {**_PADDINGS[padding], "strides": _sides(node, "strides")}


def _sides(node: Node, attribute: str) -> list[int]:
    """The attribute's values for height and width: it has one for each of the four axes."""
    first, *sides, last = node.integers(attribute) or (1, 1, 1, 1)
    if (first, last) != (1, 1):
        _refuse(node, f"{attribute} over the batch or the channels")
    return sides


def _planes(writer: Writer, node: Node, tensor: Tensor) -> str:
    return writer.ordered(_computed(node, tensor), CHANNELS_SECOND, "").name


def _computed(node: Node, tensor: Tensor) -> Computed:
    if isinstance(tensor, np.ndarray):
        _refuse(node, "a constant in this place")
    return tensor


def _constant(node: Node, tensor: Tensor) -> np.ndarray:
    if isinstance(tensor, Computed):
        _refuse(node, f"{tensor.name} where a constant is needed")
    return tensor


def _refuse(node: Node, what: str) -> NoReturn:
    raise InvalidPackage(f"{node.op} {node.name} has {what}: models/tfjs/operators.py does not convert that")


OPERATORS: Mapping[str, Operator] = {
    "Add": (_add := _elementwise("Add", np.add)),
    "AddN": _add,
    "AddV2": _add,
    "AvgPool": _pool("AveragePool"),
    "ConcatV2": _concatenate,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Identity": _same,
    "LeakyRelu": _alone("LeakyRelu", lambda node: {"alpha": node.number("alpha")}),
    "MaxPool": _pool("MaxPool"),
    "Mul": _elementwise("Mul", np.multiply),
    "Pad": _pad,
    "PadV2": _pad,
    "Relu": _alone("Relu"),
    "Relu6": _relu6,
    "Reshape": _reshape,
    "ResizeBilinear": _resize,
    "Sigmoid": _alone("Sigmoid"),
    "SparseToDense": _dense,
    "SplitV": _split,
    "Transpose": _transpose,
}
