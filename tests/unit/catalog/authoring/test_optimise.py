from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.optimise import fix_batch, halve_weights, optimise
from tests.original import reference_scores


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def stored(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def with_weight(values: np.ndarray) -> onnx.ModelProto:
    """A graph that multiplies a float vector by `values`."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, values.size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, values.size])],
        [numpy_helper.from_array(values.reshape(1, -1), "w")],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def test_batch_normalisation_goes_into_the_convolution(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray]
) -> None:
    optimised = optimise(tiny_model)
    assert "BatchNormalization" in ops(tiny_model)
    assert "BatchNormalization" not in ops(optimised)
    images = np.stack(tiny_images)
    np.testing.assert_allclose(
        reference_scores(optimised, images), reference_scores(tiny_model, images), rtol=1e-4, atol=1e-4
    )


def test_only_the_operator_sets_in_use_are_declared(tiny_model: onnx.ModelProto) -> None:
    assert [(entry.domain, entry.version) for entry in optimise(tiny_model).opset_import] == [("", 20)]


def test_a_graph_that_cannot_run_is_refused(tiny_model: onnx.ModelProto) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(tiny_model)
    broken.graph.node[3].op_type = "Konvolution"
    with pytest.raises(InvalidPackage, match=r"ONNX Runtime cannot run this graph: .*Konvolution"):
        optimise(broken)


@pytest.mark.parametrize(("ir_version", "opset"), [(11, 20), (10, 22)])
def test_what_an_old_runtime_cannot_read_is_refused(tiny_model: onnx.ModelProto, ir_version: int, opset: int) -> None:
    newer = onnx.ModelProto()
    newer.CopyFrom(tiny_model)
    newer.ir_version = ir_version
    newer.opset_import[0].version = opset
    with pytest.raises(InvalidPackage, match=f"IR version {ir_version} and opset {opset}: export it with at most"):
        optimise(newer)


def test_fixing_the_batch_folds_what_depends_on_it(tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray]) -> None:
    fixed = fix_batch(tiny_model)
    assert fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    images = np.stack(tiny_images[:5])
    np.testing.assert_allclose(
        reference_scores(fixed, images), reference_scores(tiny_model, images), rtol=1e-4, atol=1e-4
    )


def test_large_weights_are_stored_in_half_and_widened_by_any_runtime() -> None:
    values = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    halved = halve_weights(with_weight(values))
    onnx.checker.check_model(halved, full_check=True)
    assert [array.dtype for array in stored(halved).values()] == [np.float16]
    assert ops(halved) == ["Cast", "Mul"]
    session = onnxruntime.InferenceSession(halved.SerializeToString(), providers=["CPUExecutionProvider"])
    (scaled,) = session.run(None, {"x": np.ones((1, 2000), np.float32)})
    np.testing.assert_array_equal(scaled[0], values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "values",
    [
        np.ones(100, np.float32),
        np.full(2000, 7e4, np.float32),
        np.full(2000, 1e-7, np.float32),
        np.full(2000, np.inf, np.float32),
        np.full(2000, np.nan, np.float32),
    ],
)
def test_what_is_small_or_does_not_fit_stays(values: np.ndarray) -> None:
    assert halve_weights(with_weight(values)) == with_weight(values)


def test_other_types_stay(tiny_model: onnx.ModelProto) -> None:
    model = with_weight(np.ones(2000, np.float32))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((1, 2000), np.int64), "w"))
    assert halve_weights(model) == model
