"""Any ONNX classifier as a graph whose input is the resized uint8 image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.operator_sets import opset_of

INPUT = "image"
# Of the three channels that a network takes.
ChannelOrder: TypeAlias = Literal["rgb", "bgr"]
_PREFIX = "collabd."
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})
_CHANNELS = {1: "one grey channel", 3: "RGB"}
# ITU-R BT.601 as Pillow computes its mode "L", in parts of 65,536. float32 holds every sum exactly.
_LUMA = np.array([19595, 38470, 7471]) / 65536
# From this version on, ReduceSum takes its axes as an input.
_OPSET_OF_REDUCED_AXES = 13


@dataclass(frozen=True)
class Layout:
    """How an image lies in the graph's own input. `planes`: the channels come before height and width, else behind."""

    kind: int
    channels: int
    planes: bool

    @property
    def is_ours(self) -> bool:
        """Whether it is what the daemons feed: uint8 [batch, height, width, 3]."""
        return self.is_bytes and self.channels == 3 and not self.planes

    @property
    def is_bytes(self) -> bool:
        """Whether it takes pixels as they are; floats are normalised."""
        return self.kind == TensorProto.UINT8

    def of_channels(self, rgb: Sequence[float], order: ChannelOrder = "rgb") -> np.ndarray:
        """A value for each channel, float64 [channels] in `order`, from those for R, G and B. Grey gets their luma."""
        values = np.asarray(rgb, np.float64)
        if self.channels == 1:
            return np.array([values @ _LUMA])
        return values if order == "rgb" else values[::-1]

    def said(self, order: ChannelOrder) -> str:
        """The layout in words, with the three channels in `order`."""
        sides = f"{self.channels}, height, width" if self.planes else f"height, width, {self.channels}"
        channels = order.upper() if self.channels == 3 else _CHANNELS[self.channels]
        return f"{helper.tensor_dtype_to_np_dtype(self.kind)} [batch, {sides}], {channels}"


@dataclass(frozen=True)
class _Step:
    """A node on the way from the image to the graph's own input, with at most one constant beside it."""

    name: str
    operator: str
    constant: np.ndarray | None = None
    attributes: dict[str, Any] = field(default_factory=dict, kw_only=True)


def image_input(
    model: onnx.ModelProto,
    *,
    size: tuple[int, int] | None,
    mean: Sequence[float],
    std: Sequence[float],
    order: ChannelOrder = "rgb",
) -> tuple[onnx.ModelProto, tuple[int, int]]:
    """`model` with an input uint8 [batch, height, width, 3] of RGB, and that (height, width).

    Its own input may be float or uint8, of 3 channels in `order` or 1 (grey), before or behind height and width. Floats
    get the scaling to 0..1 and the normalisation by `mean` and `std`, which are of R, G and B whatever the order, in
    front; one grey channel is the luma of RGB, as are then its mean and deviation. What is uint8 gets no normalisation.
    `size` is for graphs that leave it open. Raises `InvalidPackage` where the graph has another kind of input, more
    than one, or no size.
    """
    whole, sides = of_fixed_size(model, size)
    layout = layout_of(whole.graph)
    steps = list(_steps(layout, mean=mean, std=std, order=order, opset=opset_of(model)))
    if steps:
        value = onnx.ValueInfoProto()
        value.CopyFrom(_only_input(whole.graph))
        del whole.graph.input[:]
        _prepend(whole.graph, value, size=sides, steps=steps)
    return whole, sides


def of_fixed_size(model: onnx.ModelProto, size: tuple[int, int] | None) -> tuple[onnx.ModelProto, tuple[int, int]]:
    """A copy of `model` whose image has a fixed (height, width), and these. `size` is for graphs that leave it open.

    Raises `InvalidPackage` if neither the graph nor `size` says how large it is, or if they disagree.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    value = onnx.ValueInfoProto()
    value.CopyFrom(_only_input(fixed.graph))
    first = 2 if layout_of(fixed.graph).planes else 1
    dims = value.type.tensor_type.shape.dim
    sides = _settle(dims[first], dims[first + 1], size)
    del fixed.graph.input[:]
    fixed.graph.input.append(value)
    return fixed, sides


def layout_of(graph: onnx.GraphProto) -> Layout:
    """How the one input of `graph` holds an image. Raises `InvalidPackage` if it holds none."""
    value = _only_input(graph)
    kind = value.type.tensor_type.elem_type
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if len(dims) == 4 and (kind in _FLOATS or kind == TensorProto.UINT8):
        before, behind = dims[1], dims[3]
        behind_first = kind == TensorProto.UINT8
        if before in _CHANNELS and not (behind_first and behind in _CHANNELS):
            return Layout(kind, before, planes=True)
        if behind in _CHANNELS:
            return Layout(kind, behind, planes=False)
        if not before or not behind:
            return Layout(kind, 3, planes=not before and not _is_turned(graph, value.name))
    raise InvalidPackage(
        f"the input {value.name} must be an image, float32 or uint8 [batch, 3, height, width] or "
        f"[batch, height, width, 3] (1 in place of 3 for grey), but it is {_described(value)}"
    )


def free_name(graph: onnx.GraphProto, wanted: str) -> str:
    """`wanted`, or a name like it that no tensor of `graph` has."""
    taken = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    taken |= {name for node in graph.node for name in (*node.input, *node.output)}
    while wanted in taken:
        wanted = _PREFIX + wanted
    return wanted


def _only_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        listed = ", ".join(f"{value.name} {_described(value)}" for value in inputs)
        raise InvalidPackage(
            f"the graph has {len(inputs)} inputs{f' ({listed})' if inputs else ''}, but a package has only one, the "
            "image: export the network with the others as constants"
        )
    value: onnx.ValueInfoProto = inputs[0]
    return value


def _is_turned(graph: onnx.GraphProto, name: str) -> bool:
    """Whether the graph itself brings the channels of its input to the front, as exports of TensorFlow do."""
    return any(
        node.op_type == "Transpose" and node.input[0] == name and list(node.attribute[0].ints) == [0, 3, 1, 2]
        for node in graph.node
        if node.attribute
    )


def _settle(
    height: onnx.TensorShapeProto.Dimension, width: onnx.TensorShapeProto.Dimension, size: tuple[int, int] | None
) -> tuple[int, int]:
    """Fix the sides of the input. Sides that the graph states stay."""
    for dim, side in zip((height, width), size or (0, 0), strict=True):
        if side and dim.dim_value not in (0, side):
            raise InvalidPackage(f"the graph takes {_said(height)} x {_said(width)} pixels, not {size}")
        if not side and not dim.dim_value:
            raise InvalidPackage("the graph leaves the image size open: state it (--size HEIGHTxWIDTH)")
        dim.dim_value = dim.dim_value or side
    return height.dim_value, width.dim_value


def _steps(
    layout: Layout, *, mean: Sequence[float], std: Sequence[float], order: ChannelOrder, opset: int
) -> Iterator[_Step]:
    """The steps from uint8 [batch, height, width, 3] of RGB to what `layout` says, in `order`."""
    shift, scale = layout.of_channels(mean, order), layout.of_channels(std, order)
    to_float = _Step("float", "Cast", attributes={"to": TensorProto.FLOAT})
    turn = _Step("planes", "Transpose", attributes={"perm": [0, 3, 1, 2]})
    if layout.channels == 1:
        yield from (to_float, *_grey(opset))
    if layout.planes:
        yield turn
    if layout.channels == 3 and order == "bgr":
        yield _Step("order", "Gather", np.array([2, 1, 0]), attributes={"axis": 1 if layout.planes else 3})
    if layout.is_bytes:
        if layout.channels == 1:
            yield _Step("bytes", "Cast", attributes={"to": TensorProto.UINT8})
        return
    if layout.channels == 3:
        yield to_float
    shape = (-1, 1, 1) if layout.planes else (-1,)
    yield _Step("scaled", "Mul", (1 / (255 * scale)).astype(np.float32).reshape(shape))
    yield _Step("shifted", "Add", (-shift / scale).astype(np.float32).reshape(shape))
    if layout.kind == TensorProto.DOUBLE:
        yield _Step("double", "Cast", attributes={"to": TensorProto.DOUBLE})


def _grey(opset: int) -> Iterator[_Step]:
    yield _Step("weighed", "Mul", _LUMA.astype(np.float32))
    if opset < _OPSET_OF_REDUCED_AXES:
        yield _Step("luma", "ReduceSum", attributes={"axes": [3]})
    else:
        yield _Step("luma", "ReduceSum", np.array([3]))
    yield _Step("half", "Add", np.array(0.5, np.float32))
    yield _Step("grey", "Floor")


def _prepend(graph: onnx.GraphProto, value: onnx.ValueInfoProto, *, size: tuple[int, int], steps: list[_Step]) -> None:
    image = free_name(graph, INPUT)
    made = [free_name(graph, f"{_PREFIX}{step.name}") for step in steps[:-1]] + [value.name]
    nodes = []
    for step, read, written in zip(steps, [image, *made], made, strict=False):
        reads = [read]
        if step.constant is not None:
            reads.append(free_name(graph, f"{_PREFIX}{step.name}.constant"))
            graph.initializer.append(numpy_helper.from_array(step.constant, reads[-1]))
        nodes.append(helper.make_node(step.operator, reads, [written], **step.attributes))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    batch = value.type.tensor_type.shape.dim[0]
    shape = [batch.dim_value or batch.dim_param or "batch", *size, 3]
    graph.input.append(helper.make_tensor_value_info(image, TensorProto.UINT8, shape))


def _described(value: onnx.ValueInfoProto) -> str:
    if not value.type.HasField("tensor_type"):
        return f"a {value.type.WhichOneof('value') or 'thing of no type'}".removesuffix("_type")
    kind = value.type.tensor_type
    sizes = ", ".join(_said(dim) for dim in kind.shape.dim)
    return f"{TensorProto.DataType.Name(kind.elem_type)} [{sizes}]"


def _said(dim: onnx.TensorShapeProto.Dimension) -> str:
    return str(dim.dim_value or dim.dim_param or "?")
