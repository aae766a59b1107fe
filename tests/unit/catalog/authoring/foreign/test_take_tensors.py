from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.foreign import TensorNetwork, Wanted, as_tensors, opened, read
from collabd.partition import annotate
from tests.plain_session import plain_session
from tests.unit.catalog.authoring.foreign.networks import (
    CLASSES,
    MEAN,
    SIDE,
    STD,
    array,
    body,
    normalised,
    photo,
    planes,
)

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
Feeds = dict[str, np.ndarray]
value = helper.make_tensor_value_info
node = helper.make_node


def taken(model: onnx.ModelProto, **stated: Any) -> TensorNetwork:
    return as_tensors(opened(model, Wanted(mean=MEAN, std=STD, **stated)))


def run(model: onnx.ModelProto, feeds: Feeds) -> dict[str, np.ndarray]:
    session = plain_session(model.SerializeToString())
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


def made(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Sequence[Any] = (), opset: int = 17
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model


def two_ended(kind: int = FLOAT, batch: Any = "N", opset: int = 17) -> onnx.ModelProto:
    """Two inputs, planes and their sizes, as RT-DETR takes them; two outputs."""
    weights = [array("w", 4, 3, 3, 3), array("w2", 2, 4), array("b2", 2)]
    if kind == HALF:
        weights = [
            numpy_helper.from_array(numpy_helper.to_array(each).astype(np.float16), each.name) for each in weights
        ]
    nodes = [
        node("Conv", ["planes", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w2", "b2"], ["rows"], transB=1),
        node("Cast", ["sizes"], ["s"], to=kind),
        node("Mul", ["rows", "s"], ["scaled"]),
    ]
    inputs = [value("planes", kind, [batch, 3, 8, 8]), value("sizes", INT64, [batch, 2])]
    return made(nodes, inputs, [value("r", kind, None), value("scaled", kind, [batch, 2])], weights, opset)


def two_feeds(images: int, kind: type = np.float32) -> Feeds:
    rng = np.random.default_rng(4)
    return {
        "planes": rng.standard_normal((images, 3, 8, 8)).astype(kind),
        "sizes": rng.integers(1, 9, (images, 2), dtype=np.int64),
    }


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


def test_several_inputs_and_outputs_keep_their_names() -> None:
    given = two_ended()
    network = taken(given)
    assert network.size is None
    assert [each.name for each in network.model.graph.input] == ["planes", "sizes"]
    assert network.notes == ("it answers with its outputs as they are: r float32 [1, 4, 6, 6], scaled float32 [1, 2]",)
    same(run(network.model, two_feeds(3)), run(given, two_feeds(3)))


@pytest.mark.parametrize("opset", [9, 11, 13, 21])
def test_operator_sets_from_9_on(opset: int) -> None:
    given = two_ended(opset=opset)
    same(run(taken(given).model, two_feeds(2)), run(given, two_feeds(2)))


def test_newer_operator_sets_are_brought_down() -> None:
    given = two_ended(opset=23)
    given.ir_version = 10
    network = taken(given)
    assert "its opset 23 is converted to 21" in network.notes
    same(run(network.model, two_feeds(1)), run(given, two_feeds(1)))


def test_half_floats_at_both_ends_become_float32() -> None:
    given = two_ended(HALF)
    network = taken(given)
    assert "its half floats become float32" in network.notes
    assert [each.type.tensor_type.elem_type for each in network.model.graph.input] == [FLOAT, INT64]
    expected = {name: found.astype(np.float32) for name, found in run(given, two_feeds(2, np.float16)).items()}
    half = two_feeds(2, np.float16)
    same(run(network.model, {**half, "planes": half["planes"].astype(np.float32)}), expected, 5e-3)


def test_one_input_with_a_fixed_first_axis_leaves_one_item_at_a_time() -> None:
    given = two_ended()
    given.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 1
    network = taken(given)
    shapes = [[dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in network.model.graph.input]
    assert shapes == [[1, 3, 8, 8], [1, 2]]
    same(run(network.model, two_feeds(1)), run(two_ended(), two_feeds(1)))


def of_two_rows_each() -> onnx.ModelProto:
    """Two rows of three scores for each item. The graph computes their number in floats, which no inference follows."""
    nodes, weights = body()
    nodes += [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["items"], axis=0),
        node("Cast", ["items"], ["float.items"], to=FLOAT),
        node("Mul", ["float.items", "two"], ["float.rows"]),
        node("Ceil", ["float.rows"], ["whole.rows"]),
        node("Cast", ["whole.rows"], ["rows"], to=INT64),
        node("Concat", ["rows", "three"], ["sizes"], axis=0),
        node("Reshape", ["logits", "sizes"], ["halves"]),
    ]
    weights += [
        numpy_helper.from_array(np.array([0]), "first"),
        numpy_helper.from_array(np.array([2], np.float32), "two"),
        numpy_helper.from_array(np.array([CLASSES // 2]), "three"),
    ]
    outputs = [value("halves", FLOAT, None)]
    return made(nodes, [value("x", FLOAT, ["N", 3, SIDE, SIDE])], outputs, weights)


def test_sizes_that_follow_only_for_one_item_leave_one_item_at_a_time() -> None:
    given = of_two_rows_each()
    network = taken(given)
    assert network.notes[1:] == (
        "the sizes of its outputs follow only for one item at a time, so the package takes one",
        "it answers with its outputs as they are: halves float32 [2, 3]",
    )
    (taken_image,) = network.model.graph.input
    assert [dim.dim_value for dim in taken_image.type.tensor_type.shape.dim] == [1, SIDE, SIDE, 3]
    (halves,) = annotate(network.model).graph.output
    assert [dim.dim_value for dim in halves.type.tensor_type.shape.dim] == [2, 3]
    image = photo()
    same(run(network.model, {"image": image}), run(given, {"x": planes(normalised(image))}), 1e-4)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="invalid dimensions"):
        run(network.model, {"image": np.repeat(image, 2, 0)})


def test_an_image_with_several_outputs_becomes_a_picture() -> None:
    nodes, weights = body()
    given = made(
        nodes,
        [value("x", FLOAT, ["N", 3, SIDE, SIDE])],
        [value("r2", FLOAT, None), value("logits", FLOAT, None)],
        weights,
    )
    network = taken(given)
    assert network.size == (SIDE, SIDE)
    assert network.notes[0].startswith("its input is float32 [batch, 3, height, width], RGB, normalised by mean")
    image = photo()
    same(run(network.model, {"image": image}), run(given, {"x": planes(normalised(image))}), 1e-4)


def test_weights_in_another_file_are_read(tmp_path: Path) -> None:
    given = two_ended()
    expected = run(given, two_feeds(2))
    onnx.save(given, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").is_file()
    same(run(taken(read(tmp_path / "net.onnx")).model, two_feeds(2)), expected)


def test_functions_of_its_own_are_inlined() -> None:
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    given = two_ended()
    given.functions.append(function)
    given.opset_import.append(helper.make_opsetid("own", 1))
    given.graph.node.append(node("Twice", ["scaled"], ["twice"], domain="own"))
    given.graph.output.append(value("twice", FLOAT, None))
    network = taken(given)
    assert not network.model.functions
    same(run(network.model, two_feeds(2)), run(given, two_feeds(2)))


class _Noise(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._left = iter([two_feeds(1) for _ in range(4)])

    def get_next(self) -> Feeds | None:
        return next(self._left, None)


def test_quantised_in_the_qdq_form(tmp_path: Path) -> None:
    onnx.save(two_ended(), tmp_path / "float.onnx")
    quantize_static(str(tmp_path / "float.onnx"), str(tmp_path / "int8.onnx"), _Noise(), quant_format=QuantFormat.QDQ)
    given = onnx.load(tmp_path / "int8.onnx")
    assert "QuantizeLinear" in {each.op_type for each in given.graph.node}
    same(run(taken(given).model, two_feeds(2)), run(given, two_feeds(2)), 2e-2)


def test_an_open_size_of_an_input_is_named() -> None:
    given = made([node("Relu", ["a"], ["b"])], [value("a", FLOAT, ["N", "length"])], [value("b", FLOAT, None)])
    with pytest.raises(InvalidRequest, match="leaves a size of its input a open"):
        taken(given)


def test_an_output_whose_size_depends_on_the_input_is_refused() -> None:
    given = made([node("NonZero", ["a"], ["places"])], [value("a", FLOAT, ["N", 4])], [value("places", INT64, None)])
    with pytest.raises(InvalidPackage, match=r"size of its output places depends .* \(here it was int64 \[2, 4\]\)"):
        taken(given)


def test_a_sequence_is_no_tensor() -> None:
    sequence = helper.make_tensor_sequence_value_info("parts", FLOAT, None)
    given = made([node("SplitToSequence", ["a"], ["parts"], axis=1)], [value("a", FLOAT, ["N", 4])], [sequence])
    with pytest.raises(InvalidPackage, match="output parts is a sequence"):
        taken(given)
    taking = made([node("SequenceLength", ["parts"], ["count"])], [sequence], [value("count", INT64, [])])
    with pytest.raises(InvalidPackage, match="input parts is not a tensor"):
        taken(taking)
