"""Any ONNX classifier as a graph whose input is the resized uint8 image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage

INPUT = "image"
_PREFIX = "collabd."


def image_input(
    model: onnx.ModelProto, *, size: tuple[int, int] | None, mean: Sequence[float], std: Sequence[float]
) -> tuple[onnx.ModelProto, tuple[int, int]]:
    """`model` with an input uint8 [batch, height, width, 3], and that (height, width).

    A float32 [batch, 3, height, width] input gets the scaling to 0..1 and the normalisation by `mean` and `std` in
    front of it; an input that is uint8 already stays. `size` is for graphs that leave it open. Raises
    `InvalidPackage` where the graph has another kind of input, more than one, or no size.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    value = _only_input(whole.graph)
    kind = value.type.tensor_type
    dims = kind.shape.dim
    if len(dims) == 4 and kind.elem_type == TensorProto.UINT8 and dims[3].dim_value == 3:
        return whole, _settle(dims[1], dims[2], size)
    if len(dims) == 4 and kind.elem_type == TensorProto.FLOAT and dims[1].dim_value in (0, 3):
        sides = _settle(dims[2], dims[3], size)
        _prepend(whole.graph, value, sides, mean, std)
        return whole, sides
    raise InvalidPackage(
        f"the input {value.name} must be float32 [batch, 3, height, width] or uint8 [batch, height, width, 3], "
        f"and is {TensorProto.DataType.Name(kind.elem_type)} [{', '.join(_said(dim) for dim in dims)}]"
    )


def _only_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise InvalidPackage(f"the graph has {len(inputs)} inputs, and a package has one, the image")
    del graph.input[:]
    value: onnx.ValueInfoProto = graph.input.add()
    value.CopyFrom(inputs[0])
    return value


def _settle(
    height: onnx.TensorShapeProto.Dimension, width: onnx.TensorShapeProto.Dimension, size: tuple[int, int] | None
) -> tuple[int, int]:
    """Fix the sides of the input; those that the graph states hold."""
    for dim, side in zip((height, width), size or (0, 0), strict=True):
        if side and dim.dim_value not in (0, side):
            raise InvalidPackage(f"the graph takes {_said(height)} x {_said(width)} pixels, not {size}")
        if not side and not dim.dim_value:
            raise InvalidPackage("the graph leaves the image size open; state it (--size HEIGHTxWIDTH)")
        dim.dim_value = dim.dim_value or side
    return height.dim_value, width.dim_value


def _prepend(
    graph: onnx.GraphProto,
    value: onnx.ValueInfoProto,
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    graph.initializer.append(_constant("scale", 1 / (255 * np.asarray(std))))
    graph.initializer.append(_constant("shift", -np.asarray(mean) / np.asarray(std)))
    image = _free_name(graph)
    nodes = [
        helper.make_node("Transpose", [image], [f"{_PREFIX}planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", [f"{_PREFIX}planes"], [f"{_PREFIX}float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{_PREFIX}float", f"{_PREFIX}scale"], [f"{_PREFIX}scaled"]),
        helper.make_node("Add", [f"{_PREFIX}scaled", f"{_PREFIX}shift"], [value.name]),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    batch = value.type.tensor_type.shape.dim[0]
    shape = [batch.dim_value or batch.dim_param or "batch", *size, 3]
    value.CopyFrom(helper.make_tensor_value_info(image, TensorProto.UINT8, shape))


def _constant(name: str, channels: np.ndarray) -> TensorProto:
    return numpy_helper.from_array(channels.astype(np.float32).reshape(-1, 1, 1), _PREFIX + name)


def _free_name(graph: onnx.GraphProto) -> str:
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    return INPUT if INPUT not in taken else _PREFIX + INPUT


def _said(dim: onnx.TensorShapeProto.Dimension) -> str:
    return str(dim.dim_value or dim.dim_param or "?")
