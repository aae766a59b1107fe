"""Each operator, converted, against what NumPy or PyTorch compute for TensorFlow's order of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from collab_sdk.errors import InvalidPackage
from models.tfjs import convert, parse
from tests.unit.models.tfjs.written import Written, integers, text

RANDOM = np.random.default_rng(0)
SLIDING: dict[str, Any] = {"data_format": text("NHWC"), "dilations": integers(1, 1, 1, 1)}
BATCH = 2
ONE_TWO_THREE = np.array([1, 2, 3], np.float32)


def image(*sizes: int) -> np.ndarray:
    return RANDOM.standard_normal((BATCH, *sizes)).astype(np.float32)


def planes(array: np.ndarray) -> torch.Tensor:
    """Channels second, as PyTorch has them."""
    return torch.from_numpy(array).permute(0, 3, 1, 2)


def behind(tensor: torch.Tensor) -> np.ndarray:
    """Channels last, as TensorFlow has them."""
    return tensor.permute(0, 2, 3, 1).numpy()


def same(array: np.ndarray, *, window: int, stride: int, value: float = 0.0) -> torch.Tensor:
    """Padded as TensorFlow's SAME: so that each stride has an output; the odd pixel goes to the end."""
    widths: list[int] = []
    for side in (array.shape[2], array.shape[1]):
        total = max((-(-side // stride) - 1) * stride + window - side, 0)
        widths += [total // 2, total - total // 2]
    return functional.pad(planes(array), widths, value=value)


@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 7), (2, 8)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_convolution(padding: str, stride: int, side: int) -> None:
    x, kernel = image(side, side + 2, 3), RANDOM.standard_normal((3, 3, 3, 5)).astype(np.float32)
    graph = Written()
    reads = [graph.image(1, side, side + 2, 3), graph.constant("k", kernel)]
    graph.node("Conv2D", reads, padding=text(padding), strides=integers(1, stride, stride, 1), **SLIDING)
    taken = same(x, window=3, stride=stride) if padding == "SAME" else planes(x)
    weight = torch.from_numpy(kernel).permute(3, 2, 0, 1)
    np.testing.assert_allclose(graph.run(x)[0], behind(functional.conv2d(taken, weight, stride=stride)), atol=1e-5)


def test_a_dilated_convolution() -> None:
    x, kernel = image(9, 9, 3), RANDOM.standard_normal((3, 3, 3, 4)).astype(np.float32)
    graph = Written()
    reads = [graph.image(1, 9, 9, 3), graph.constant("k", kernel)]
    attributes = {**SLIDING, "dilations": integers(1, 2, 2, 1), "padding": text("VALID")}
    graph.node("Conv2D", reads, strides=integers(1, 1, 1, 1), **attributes)
    weight = torch.from_numpy(kernel).permute(3, 2, 0, 1)
    np.testing.assert_allclose(graph.run(x)[0], behind(functional.conv2d(planes(x), weight, dilation=2)), atol=1e-5)


def test_a_depthwise_convolution_with_several_outputs_a_channel() -> None:
    x, kernel = image(8, 8, 3), RANDOM.standard_normal((5, 5, 3, 2)).astype(np.float32)
    graph = Written()
    reads = [graph.image(1, 8, 8, 3), graph.constant("k", kernel)]
    graph.node("DepthwiseConv2dNative", reads, padding=text("SAME"), strides=integers(1, 2, 2, 1), **SLIDING)
    taken = behind(same(x, window=5, stride=2))
    expected = np.zeros((BATCH, 4, 4, 6), np.float32)
    for row, column in np.ndindex(4, 4):
        patch = taken[:, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
        expected[:, row, column] = np.einsum("bhwc,hwcm->bcm", patch, kernel).reshape(BATCH, 6)
    np.testing.assert_allclose(graph.run(x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("window", "side"), [(2, 8), (3, 8), (3, 7)])
def test_a_transposed_convolution_is_the_gradient_of_a_convolution(window: int, side: int) -> None:
    """`side`: of the output; a convolution of stride 2 makes 4 of both 7 and 8."""
    x, kernel = image(4, 4, 3), RANDOM.standard_normal((window, window, 2, 3)).astype(np.float32)
    graph = Written()
    reads = [graph.constant("s", [1, side, side, 2]), graph.constant("k", kernel), graph.image(1, 4, 4, 3)]
    graph.node("Conv2DBackpropInput", reads, padding=text("SAME"), strides=integers(1, 2, 2, 1), **SLIDING)
    large = torch.zeros((BATCH, side, side, 2), requires_grad=True)
    before = max(3 * 2 + window - side, 0)
    padded = functional.pad(large.permute(0, 3, 1, 2), [before // 2, before - before // 2] * 2)
    convolved = functional.conv2d(padded, torch.from_numpy(kernel).permute(3, 2, 0, 1), stride=2)
    (gradient,) = torch.autograd.grad(convolved, large, planes(x))
    np.testing.assert_allclose(graph.run(x)[0], gradient.numpy(), atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools(padding: str) -> None:
    x = image(7, 7, 3)
    graph = Written()
    attributes = {"padding": text(padding), "strides": integers(1, 2, 2, 1), "ksize": integers(1, 3, 3, 1)}
    read = graph.image(1, 7, 7, 3)
    graph.node("MaxPool", [read], "most", data_format=text("NHWC"), **attributes)
    graph.node("AvgPool", [read], "mean", data_format=text("NHWC"), **attributes)
    most, mean = graph.run(x, {"most": "a", "mean": "b"})
    lowest = same(x, window=3, stride=2, value=-np.inf) if padding == "SAME" else planes(x)
    np.testing.assert_array_equal(most, behind(functional.max_pool2d(lowest, 3, 2)))
    padded = same(x, window=3, stride=2) if padding == "SAME" else planes(x)
    ones = same(np.ones_like(x), window=3, stride=2) if padding == "SAME" else planes(np.ones_like(x))
    # What TensorFlow pads does not count in the mean.
    expected = functional.avg_pool2d(padded, 3, 2) / functional.avg_pool2d(ones, 3, 2)
    np.testing.assert_allclose(mean, behind(expected), atol=1e-6)


@pytest.mark.parametrize("size", [(16, 12), (8, 6), (24, 3), (4, 9)])
def test_a_bilinear_resize(size: tuple[int, int]) -> None:
    x = image(8, 6, 3)
    graph = Written()
    reads = [graph.image(1, 8, 6, 3), graph.constant("s", size)]
    graph.node("ResizeBilinear", reads, half_pixel_centers={"b": True}, align_corners={"b": False})
    expected = functional.interpolate(planes(x), size, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(graph.run(x)[0], behind(expected), atol=1e-5)


@pytest.mark.parametrize(("value", "filled"), [(None, 0.0), (2.5, 2.5), (-np.inf, -np.inf)])
def test_a_pad(value: float | None, filled: float) -> None:
    x, widths = image(4, 5, 3), [[0, 0], [1, 2], [3, 0], [0, 1]]
    graph = Written()
    reads = [graph.image(1, 4, 5, 3), graph.constant("w", widths)]
    if value is None:
        graph.node("Pad", reads)
    else:
        graph.node("PadV2", [*reads, graph.constant("v", np.float32(value))])
    np.testing.assert_array_equal(graph.run(x)[0], np.pad(x, widths, constant_values=filled))


@pytest.mark.parametrize(("before", "merged"), [(2, True), (3, False)])
def test_a_border_of_minus_infinity_becomes_part_of_the_max_pool_behind_it(before: int, merged: bool) -> None:
    x, widths = image(4, 5, 3), [[0, 0], [1, 2], [before, 0], [0, 0]]
    graph = Written()
    window: dict[str, Any] = {"data_format": text("NHWC"), "padding": text("VALID"), "strides": integers(1, 1, 1, 1)}
    pooled = graph.node("AvgPool", [graph.image(1, 4, 5, 3)], "pooled", ksize=integers(1, 1, 1, 1), **window)
    turned = graph.node("Transpose", [pooled, graph.constant("p", [0, 3, 1, 2])], "turned")
    reads = [turned, graph.constant("w", [widths[axis] for axis in (0, 3, 1, 2)]), graph.constant("v", -np.inf)]
    padded = graph.node("PadV2", reads, "padded")
    again = graph.node("Transpose", [padded, graph.constant("q", [0, 2, 3, 1])], "again")
    graph.node("MaxPool", [again], ksize=integers(1, 3, 3, 1), **window)
    expected = functional.max_pool2d(planes(np.pad(x, widths, constant_values=-np.inf)), 3, 1)
    np.testing.assert_array_equal(graph.run(x)[0], behind(expected))
    operators = [node.op_type for node in convert(parse(graph.json(), graph.weights), {"y": "out"}).graph.node]
    assert ("Pad" not in operators) == merged


@pytest.mark.parametrize(("operator", "compute"), [("Add", np.add), ("AddV2", np.add), ("Mul", np.multiply)])
def test_what_is_added_and_multiplied_broadcasts_along_tensorflows_axes(operator: str, compute: Any) -> None:
    x, second = image(4, 5, 3), RANDOM.standard_normal((4, 1, 3)).astype(np.float32)
    graph = Written()
    read = graph.image(1, 4, 5, 3)
    graph.node(operator, [graph.constant("c", second), read], "z")
    turned = graph.node("Transpose", [read, graph.constant("p", [0, 2, 1, 3])], "turned")
    again = graph.node("Transpose", [turned, graph.constant("q", [0, 2, 1, 3])], "again")
    graph.node(operator, ["z", again])
    np.testing.assert_allclose(graph.run(x)[0], compute(compute(x, second), x), atol=1e-6)


def test_a_sum_of_many() -> None:
    x = image(4, 5, 3)
    graph = Written()
    read = graph.image(1, 4, 5, 3)
    graph.node("AddN", [read, graph.constant("c", ONE_TWO_THREE), read, read])
    np.testing.assert_allclose(graph.run(x)[0], 3 * x + ONE_TWO_THREE, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("LeakyRelu", lambda x: np.where(x < 0, 0.1 * x, x)),
        ("Relu", lambda x: np.maximum(x, 0)),
        ("Relu6", lambda x: np.clip(x, 0, 6)),
        ("Sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("Identity", lambda x: x),
    ],
)
def test_what_changes_each_value_by_itself(operator: str, expected: Any) -> None:
    x = 5 * image(4, 5, 3)
    graph = Written()
    graph.node(operator, [graph.image(1, 4, 5, 3)], alpha={"f": 0.1})
    np.testing.assert_allclose(graph.run(x)[0], expected(x), atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_tensors_in_different_orders_are_joined_and_split_along_tensorflows_axis(axis: int) -> None:
    x = image(4, 4, 4)
    graph = Written()
    read = graph.image(1, 4, 4, 4)
    turned = graph.node("Transpose", [read, graph.constant("p", [0, 2, 3, 1])], "turned")
    joined = graph.node("ConcatV2", [turned, read, graph.constant("a", axis)], "joined", N={"i": "2"})
    graph.node("SplitV", [joined, graph.constant("n", [3, 5]), graph.constant("b", axis)], "parts")
    first, second = graph.run(x, {"parts": "first", "parts:1": "second"})
    expected = np.split(np.concatenate([x.transpose(0, 2, 3, 1), x], axis), [3], axis)
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(second, expected[1])


def test_a_reshape_keeps_tensorflows_order_and_the_batch() -> None:
    """Its sizes are a sum of constants, one of them sparse, as an exporter left them."""
    x = image(4, 5, 6)
    graph = Written()
    turned = graph.node("Transpose", [graph.image(1, 4, 5, 6), graph.constant("p", [0, 3, 1, 2])], "turned")
    sparse = [
        graph.constant("i", [[1]]),
        graph.constant("n", [3]),
        graph.constant("v", [6]),
        graph.constant("d", 0),
    ]
    dense = graph.node("SparseToDense", sparse, "dense")
    sizes = graph.node("AddV2", [graph.constant("s", [1, 0, -1]), dense], "sizes")
    reshaped = graph.node("Reshape", [turned, sizes], "reshaped")
    graph.node("Transpose", [reshaped, graph.constant("q", [0, 2, 1])])
    expected = x.transpose(0, 3, 1, 2).reshape(BATCH, 6, 20).transpose(0, 2, 1)
    np.testing.assert_array_equal(graph.run(x)[0], expected)


def test_transpositions_that_undo_one_another_leave_no_node() -> None:
    graph = Written()
    turned = graph.node("Transpose", [graph.image(1, 4, 5, 6), graph.constant("p", [0, 3, 1, 2])], "turned")
    changed = graph.node("Relu", [turned], "changed")
    graph.node("Transpose", [changed, graph.constant("q", [0, 2, 3, 1])])
    model = convert(parse(graph.json(), graph.weights), {"y": "out"})
    assert [node.op_type for node in model.graph.node] == ["Relu", "Identity"]


@pytest.mark.parametrize(
    ("operator", "attributes", "message"),
    [
        ("Conv2D", {"padding": text("EXPLICIT")}, "y has the padding EXPLICIT"),
        ("Conv2D", {"padding": text("SAME"), "data_format": text("NCHW")}, "y has the layout NCHW"),
        ("Conv2D", {"padding": text("SAME"), "dilations": integers(1, 1, 1, 2)}, "over the batch or the channels"),
        ("Conv2DBackpropInput", {"padding": text("SAME")}, "a constant in this place"),
        ("ResizeBilinear", {"align_corners": {"b": True}}, "other than half-pixel centres"),
        ("ResizeBilinear", {"half_pixel_centers": {"b": True}}, "of which the ratio is no float32"),
        ("Reshape", {}, "which does not keep the batch apart"),
        ("Add", {}, "tensors of different ranks"),
    ],
)
def test_a_form_of_an_operator_that_has_no_conversion_is_named(
    operator: str, attributes: dict[str, Any], message: str
) -> None:
    graph = Written()
    constant = graph.constant("c", np.full((3, 1, 1, 1, 1) if operator == "Add" else (3, 3, 3, 2), 2))
    sizes = graph.constant("sizes", [2, 3, 4, 2])
    reads = {
        "Reshape": [graph.image(1, 6, 6, 3), sizes],
        "Conv2DBackpropInput": [sizes, constant, constant],
        "ResizeBilinear": ["x", graph.constant("size", [5, 1])],
    }.get(operator, ["x" if graph.nodes[-1]["name"] == "x" else graph.image(1, 6, 6, 3), constant])
    graph.node(operator, reads, **{**SLIDING, "strides": integers(1, 1, 1, 1), **attributes})
    with pytest.raises(InvalidPackage, match=message):
        graph.run(image(6, 6, 3))
