"""Graphs of old and new tools: versions, functions, operators of others, control flow, quantisation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.importers import Imported
from tests.unit.catalog.authoring.foreign.networks import (
    SIDE,
    answer,
    array,
    body,
    built,
    check,
    file,
    model,
    normalised,
    photo,
    plain,
    planes,
    scores,
    taken,
)  # fmt: skip

FLOAT = TensorProto.FLOAT


def same(imported: Imported, network: onnx.ModelProto | Path, folder: Path, tolerance: float = 1e-3) -> None:
    """What was imported answers as the network does, whole and cut."""
    image = photo()
    check(built(imported, folder), image, answer(network, planes(normalised(image))), tolerance)


@pytest.mark.parametrize("opset", [7, 8, 9])
def test_weights_that_are_listed_as_inputs(opset: int, tmp_path: Path) -> None:
    """IR 3 asked for it; so are all networks of ONNX's first collection."""
    network = plain(opset=opset, ir_version=3)
    network.graph.input.extend(
        helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        for weight in network.graph.initializer
    )
    same(taken(file(network, tmp_path)), network, tmp_path)


def test_operators_that_no_runtime_reads_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="opset 6, but ONNX Runtime reads only 7 and newer"):
        taken(file(plain(opset=6, ir_version=3), tmp_path))


def test_weights_that_nodes_make(tmp_path: Path) -> None:
    """As in the networks that ONNX tests its backends with, whose batch is fixed to 1 besides."""
    nodes, weights = body()
    shape = numpy_helper.from_array(np.array([16, 8, 3, 3]), "shape")
    fill = helper.make_node(
        "ConstantOfShape", ["shape"], ["w3"], value=numpy_helper.from_array(np.array([0.02], np.float32))
    )
    kept = [weight for weight in weights if weight.name != "w3"]
    network = model([fill, *nodes], [shape, *kept], shape=(1, 3, SIDE, SIDE), opset=9, ir_version=3)
    network.graph.input.extend(helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in [shape, *kept])
    same(taken(file(network, tmp_path)), network, tmp_path)


@pytest.mark.parametrize(("opset", "ir_version"), [(22, 10), (23, 11), (24, 12), (25, 13), (21, 11)])
def test_newer_versions_are_brought_down(opset: int, ir_version: int, tmp_path: Path) -> None:
    network = plain(opset=opset, ir_version=ir_version)
    imported = taken(file(network, tmp_path))
    assert (imported.model.opset_import[0].version, imported.model.ir_version) == (21, 10)
    assert (opset > 21) == (f"its opset {opset} is converted to 21" in imported.notes)
    same(imported, network, tmp_path)


def with_newer(node: onnx.NodeProto, opset: int, *constants: onnx.TensorProto) -> onnx.ModelProto:
    """The body with a node that makes `n` of `f`."""
    nodes, weights = body()
    nodes[-1].input[0] = "n"
    return model([*nodes[:-1], node, nodes[-1]], [*weights, *constants], opset=opset, ir_version=11)


def test_a_newer_operator_is_taken_apart_where_onnx_says_how(tmp_path: Path) -> None:
    swish = with_newer(helper.make_node("Swish", ["f"], ["n"], alpha=1.5), 24)
    imported = taken(file(swish, tmp_path))
    assert "Swish" not in {node.op_type for node in imported.model.graph.node}
    same(imported, swish, tmp_path)
    root = with_newer(helper.make_node("RMSNormalization", ["f", "gain"], ["n"]), 23, array("gain", 16))
    same(taken(file(root, tmp_path)), root, tmp_path)


def test_a_newer_operator_without_an_older_form_is_named(tmp_path: Path) -> None:
    axis = numpy_helper.from_array(np.array(1), "axis")
    network = with_newer(helper.make_node("CumProd", ["f", "axis"], ["n"]), 26, axis)
    with pytest.raises(InvalidPackage, match=r"CumProd came with an opset newer than 21.*export .* with opset 21"):
        taken(file(network, tmp_path))


def test_own_functions_are_inlined(tmp_path: Path) -> None:
    nodes, weights = body()
    inside = [
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("Mul", ["a", "s"], ["b"]),
    ]
    gate = helper.make_function("own", "Gate", ["a"], ["b"], inside, [helper.make_opsetid("", 17)])
    nodes[1] = helper.make_node("Gate", ["c1"], ["r1"], domain="own")
    network = model(nodes, weights)
    network.opset_import.append(helper.make_opsetid("own", 1))
    network.functions.append(gate)
    same(taken(file(network, tmp_path)), network, tmp_path)


def test_an_operator_of_another_domain_is_named(tmp_path: Path) -> None:
    nodes, weights = body()
    nodes[0].domain, nodes[0].op_type = "com.microsoft", "FusedConv"
    network = model(nodes, weights)
    network.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(InvalidPackage, match=r"com\.microsoft\.FusedConv: not one of ONNX's own operators"):
        taken(file(network, tmp_path))


def with_if(condition: list[onnx.NodeProto], *constants: onnx.TensorProto) -> onnx.ModelProto:
    """The body with the features negated or not, as `condition`, computed by its nodes, says."""
    nodes, weights = body()
    branches = {
        name: helper.make_graph([helper.make_node(op, ["f"], [name])], name, [], [scores(name, ("N", 16))])
        for name, op in {"then": "Identity", "else": "Neg"}.items()
    }
    choice = helper.make_node(
        "If", ["condition"], ["chosen"], then_branch=branches["then"], else_branch=branches["else"]
    )
    nodes[-1].input[0] = "chosen"
    return model([*nodes[:-1], *condition, choice, nodes[-1]], [*weights, *constants])


def test_control_flow_over_constants_is_folded(tmp_path: Path) -> None:
    network = with_if([], numpy_helper.from_array(np.array(False), "condition"))
    imported = taken(file(network, tmp_path))
    assert "If" not in {node.op_type for node in imported.model.graph.node}
    same(imported, network, tmp_path)


def test_control_flow_over_the_batch_is_folded_for_one_image(tmp_path: Path) -> None:
    condition = [
        helper.make_node("Shape", ["f"], ["s"], start=0, end=1),
        helper.make_node("Equal", ["s", "one"], ["condition"]),
    ]
    network = with_if(condition, numpy_helper.from_array(np.array([1]), "one"))
    imported = taken(file(network, tmp_path))
    assert "takes one image at a time" in imported.notes[-1]
    same(imported, network, tmp_path)


def test_control_flow_over_the_image_stays_and_is_said(tmp_path: Path) -> None:
    condition = [
        helper.make_node("ReduceMean", ["f"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "zero"], ["condition"]),
    ]
    network = with_if(condition, numpy_helper.from_array(np.array(0, np.float32), "zero"))
    imported = taken(file(network, tmp_path))
    assert "control flow (If) depends on the image, so it stays" in imported.notes[-1]
    same(imported, network, tmp_path)


def with_loop(trips: onnx.TensorProto | None) -> onnx.ModelProto:
    """The body with its features doubled in a loop: `trips` times, or as often as the first of them says."""
    nodes, weights = body()
    inside = helper.make_graph(
        [
            helper.make_node("Add", ["v", "v"], ["w"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "inside",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", 9, []),
         helper.make_tensor_value_info("v", FLOAT, None)],
        [helper.make_tensor_value_info("on", 9, []), helper.make_tensor_value_info("w", FLOAT, None)],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["trips", "", "f"], ["looped"], body=inside)
    nodes[-1].input[0] = "looped"
    if trips is not None:
        return model([*nodes[:-1], loop, nodes[-1]], [*weights, trips])
    count = [
        helper.make_node("ReduceMax", ["f"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["trips"], to=TensorProto.INT64),
    ]
    return model([*nodes[:-1], *count, loop, nodes[-1]], weights)


@pytest.mark.parametrize("trips", [numpy_helper.from_array(np.array(2), "trips"), None])
def test_a_loop_stays_and_is_said(trips: onnx.TensorProto | None, tmp_path: Path) -> None:
    network = with_loop(trips)
    imported = taken(file(network, tmp_path))
    assert "control flow (Loop)" in imported.notes[-1]
    same(imported, network, tmp_path)


class Images(CalibrationDataReader):  # type: ignore[misc]
    """What a network is quantised by."""

    def __init__(self) -> None:
        self._left: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": planes(normalised(photo(seed)))} for seed in range(10, 16)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [True, False])
def test_static_int8_as_onnx_runtime_quantises(per_channel: bool, activations: QuantType, tmp_path: Path) -> None:
    quantised = tmp_path / "int8.onnx"
    quantize_static(
        file(plain(), tmp_path),
        quantised,
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=activations,
    )
    image = photo()
    package = built(taken(quantised), tmp_path)
    # A step of the quantised scores, for the original rounds in float where integers are computed with here.
    check(package, image, answer(quantised, planes(normalised(image))), tolerance=2e-2)
    network = package.network()
    crossing = {network.tensor(name).dtype for cut in package.manifest.cuts[1:] for name in cut.tensors}
    assert crossing == {np.dtype(np.uint8)}
    assert sum(layer.macs for layer in package.manifest.layers) > 0


def test_int8_as_training_for_it_exports(tmp_path: Path) -> None:
    """Float weights that the graph itself quantises, and everything small in Constant nodes."""
    nodes, weights = body()
    fakes = []
    for name, scale in (("r1", 0.05), ("w2", 0.01)):
        for part, value in (("scale", np.array(scale, np.float32)), ("zero", np.array(0, np.int8))):
            fakes.append(helper.make_node("Constant", [], [f"{name}.{part}"], value=numpy_helper.from_array(value)))
        scaling = [f"{name}.scale", f"{name}.zero"]
        fakes.append(helper.make_node("QuantizeLinear", [name, *scaling], [f"{name}.q"]))
        fakes.append(helper.make_node("DequantizeLinear", [f"{name}.q", *scaling], [f"{name}.dq"]))
    for node in nodes[2:]:
        node.input[:] = [f"{name}.dq" if name in {"r1", "w2"} else name for name in node.input]
    network = model([*nodes[:2], *fakes, *nodes[2:]], weights)
    same(taken(file(network, tmp_path)), network, tmp_path, tolerance=1e-2)
    stored = onnx.load(tmp_path / "package/model.onnx").graph.initializer
    assert TensorProto.INT8 in {weight.data_type for weight in stored}


def test_scales_are_stored_as_they_are(tmp_path: Path) -> None:
    """Per channel of a wide layer they are many, and large weights are otherwise stored in half width."""
    width = 1100
    weight = np.random.default_rng(0).integers(-127, 128, (6, width)).astype(np.int8)
    scale = np.random.default_rng(1).uniform(0.001, 0.003, width).astype(np.float32)
    nodes, weights = body()
    more = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["wide"], axis=1),
        helper.make_node("MatMul", ["logits", "wide"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(weight, "q"),
        numpy_helper.from_array(scale, "scale"),
        numpy_helper.from_array(np.zeros(width, np.int8), "zero"),
    ]
    network = model([*nodes, *more], [*weights, *constants], outputs=[scores("y", ("N", width))])
    imported = taken(file(network, tmp_path))
    same(imported, network, tmp_path)
    stored = {each.name: each for each in onnx.load(tmp_path / "package/model.onnx").graph.initializer}
    np.testing.assert_array_equal(numpy_helper.to_array(stored["scale"]), scale)
