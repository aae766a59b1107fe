from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.foreign.image_input import image_input
from tests.plain_session import plain_session

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)


def pass_through(kind: int, shape: list[int | str | None], name: str = "x") -> onnx.ModelProto:
    """A graph that returns its input, so that what was put in front of it shows."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])],
        "pass_through",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = plain_session(model.SerializeToString())
    result: np.ndarray = session.run(None, {session.get_inputs()[0].name: image})[0]
    return result


@pytest.mark.parametrize("batch", ["N", None, 1, 3])
def test_a_float_input_gets_the_normalisation_in_front(batch: int | str | None) -> None:
    wrapped, size = image_input(pass_through(TensorProto.FLOAT, [batch, 3, 4, 5]), size=None, mean=MEAN, std=STD)
    assert size == (4, 5)
    onnx.checker.check_model(wrapped, full_check=True)
    images = np.random.default_rng(0).integers(0, 256, (batch if isinstance(batch, int) else 2, 4, 5, 3), np.uint8)
    expected = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(run(wrapped, images), expected, rtol=1e-5, atol=1e-6)


def test_the_given_model_is_not_changed() -> None:
    model = pass_through(TensorProto.FLOAT, ["N", 3, 4, 5])
    before = model.SerializeToString(deterministic=True)
    image_input(model, size=None, mean=MEAN, std=STD)
    assert model.SerializeToString(deterministic=True) == before


def test_a_uint8_input_stays() -> None:
    model = pass_through(TensorProto.UINT8, ["N", 4, 5, 3])
    wrapped, size = image_input(model, size=None, mean=MEAN, std=STD)
    assert (wrapped, size) == (model, (4, 5))


def test_an_open_size_is_the_users() -> None:
    model = pass_through(TensorProto.FLOAT, ["N", 3, "h", "w"])
    wrapped, size = image_input(model, size=(6, 7), mean=MEAN, std=STD)
    assert size == (6, 7)
    assert [dim.dim_value for dim in wrapped.graph.input[0].type.tensor_type.shape.dim] == [0, 6, 7, 3]
    with pytest.raises(InvalidPackage, match="--size"):
        image_input(model, size=None, mean=MEAN, std=STD)


def test_a_size_against_the_graphs_is_refused() -> None:
    with pytest.raises(InvalidPackage, match=r"takes 4 x 5 pixels, not \(5, 5\)"):
        image_input(pass_through(TensorProto.FLOAT, [1, 3, 4, 5]), size=(5, 5), mean=MEAN, std=STD)


@pytest.mark.parametrize("name", ["image", "x"])
def test_the_input_is_called_image_where_that_is_free(name: str) -> None:
    wrapped, _ = image_input(pass_through(TensorProto.FLOAT, [1, 3, 4, 5], name), size=None, mean=MEAN, std=STD)
    assert wrapped.graph.input[0].name == ("collabd.image" if name == "image" else "image")
    assert run(wrapped, np.zeros((1, 4, 5, 3), np.uint8)).shape == (1, 3, 4, 5)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT, [1, 4, 5, 6]),
        (TensorProto.FLOAT, [1, 3]),
        (TensorProto.UINT8, [1, 2, 4, 5]),
        (TensorProto.INT64, [1, 3, 4, 5]),
    ],
)
def test_another_kind_of_input_is_described(kind: int, shape: list[int | str | None]) -> None:
    with pytest.raises(InvalidPackage, match=r"the input x must be an image, float32 or .*but it is [A-Z0-9]+ \[1, "):
        image_input(pass_through(kind, shape), size=None, mean=MEAN, std=STD)


def test_several_inputs_are_refused() -> None:
    model = pass_through(TensorProto.FLOAT, [1, 3, 4, 5])
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(InvalidPackage, match="2 inputs"):
        image_input(model, size=None, mean=MEAN, std=STD)


def test_weights_that_are_listed_as_inputs_do_not_count() -> None:
    model = pass_through(TensorProto.FLOAT, [1, 3, 4, 5])
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.float32), "w"))
    wrapped, _ = image_input(model, size=None, mean=MEAN, std=STD)
    assert [value.name for value in wrapped.graph.input] == ["image"]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT, ["N", 3, 4, 5]),
        (TensorProto.FLOAT, ["N", 4, 5, 3]),
        (TensorProto.UINT8, ["N", 3, 4, 5]),
        (TensorProto.UINT8, ["N", 4, 5, 3]),
    ],
)
def test_blue_may_come_first(kind: int, shape: list[int | str | None]) -> None:
    wrapped, _ = image_input(pass_through(kind, shape), size=None, mean=MEAN, std=STD, order="bgr")
    onnx.checker.check_model(wrapped, full_check=True)
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    # Mean and deviation stay those of R, G and B.
    values = images if kind == TensorProto.UINT8 else (images / 255 - MEAN) / STD
    expected = values[..., ::-1] if shape[3] == 3 else values[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(run(wrapped, images), expected, rtol=1e-5, atol=1e-6)


def test_grey_has_no_order() -> None:
    model = pass_through(TensorProto.FLOAT, [1, 1, 4, 5])
    wrapped, _ = image_input(model, size=None, mean=MEAN, std=STD, order="bgr")
    assert wrapped == image_input(model, size=None, mean=MEAN, std=STD)[0]
