"""Every way in which a classifier returns its scores, and what returns none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.package.manifest import Picture, Tensors
from tests.unit.catalog.authoring.foreign.networks import (
    CLASSES,
    SIDE,
    Size,
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

LABELS = tuple("abcdef")


def with_last(node: onnx.NodeProto, *constants: onnx.TensorProto, shape: Sequence[Size]) -> onnx.ModelProto:
    """The body with one more node, which makes `y` of `logits`."""
    nodes, weights = body()
    return model([*nodes, node], [*weights, *constants], outputs=[scores("y", shape)])


def reshaped(*shape: int) -> onnx.ModelProto:
    to = numpy_helper.from_array(np.array(shape), "shape")
    return with_last(helper.make_node("Reshape", ["logits", "shape"], ["y"]), to, shape=shape)


@pytest.mark.parametrize(
    "shape", [(-1, CLASSES, 1, 1), (-1, 1, 1, CLASSES), (-1, 1, CLASSES), (-1, 1, CLASSES, 1), (CLASSES,)]
)
def test_axes_of_one_are_left_out(shape: tuple[int, ...], tmp_path: Path) -> None:
    network = reshaped(*shape)
    imported = taken(file(network, tmp_path))
    assert f"becomes float32 [1, {CLASSES}]" in imported.notes[-1]
    image = photo()
    check(built(imported, tmp_path), image, answer(network, planes(normalised(image))))


def test_one_score_an_image_without_an_axis_of_its_own(tmp_path: Path) -> None:
    nodes, weights = body()
    last = helper.make_node("ReduceMax", ["logits"], ["y"], axes=[1], keepdims=0)
    network = model([*nodes, last], weights, outputs=[scores("y", ("N",))])
    imported = taken(file(network, tmp_path))
    assert imported.labels == ("0",)
    image = photo()
    package = built(imported, tmp_path)
    assert package.manifest.dynamic_batch
    check(package, image, answer(network, planes(normalised(image))))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_scores_become_float32(kind: int, tmp_path: Path) -> None:
    network = with_last(helper.make_node("Cast", ["logits"], ["y"], to=kind), shape=("N", CLASSES))
    network.graph.output[0].type.tensor_type.elem_type = kind
    image = photo()
    package = built(taken(file(network, tmp_path)), tmp_path)
    assert package.network().outputs[0].dtype == np.float32
    check(package, image, answer(network, planes(normalised(image))))


def two_outputs(*, other: str = "f", width: int = 16) -> onnx.ModelProto:
    return plain(outputs=[scores(), scores(other, ("N", width))])


def test_several_outputs_are_listed_with_their_shapes(tmp_path: Path) -> None:
    listed = r"--output NAME\): logits float32 \[1, 6\], f float32 \[1, 16\]"
    with pytest.raises(InvalidRequest, match=listed):
        taken(file(two_outputs(), tmp_path), labels=("a", "b"))
    with pytest.raises(InvalidRequest, match=r"no output 'g'; it has logits float32 \[1, 6\], f "):
        taken(file(two_outputs(), tmp_path), output="g")


def test_the_output_that_the_user_names_is_taken(tmp_path: Path) -> None:
    image = photo()
    for name, classes in (("logits", CLASSES), ("f", 16)):
        imported = taken(file(two_outputs(), tmp_path), output=name)
        assert len(imported.labels) == classes
        check(built(imported, tmp_path), image, answer(two_outputs(), planes(normalised(image)), name))


def test_the_only_output_with_a_score_a_label_is_taken_and_said(tmp_path: Path) -> None:
    imported = taken(file(two_outputs(), tmp_path), labels=LABELS)
    assert "among its 2 outputs, logits is the only one with as many scores as there are labels" in imported.notes
    image = photo()
    check(built(imported, tmp_path), image, answer(plain(), planes(normalised(image))))


def test_two_outputs_with_a_score_a_label_leave_it_to_the_user(tmp_path: Path) -> None:
    nodes, weights = body()
    nodes.append(helper.make_node("Softmax", ["logits"], ["chances"]))
    network = model(nodes, weights, outputs=[scores(), scores("chances")])
    with pytest.raises(InvalidRequest, match="--output"):
        taken(file(network, tmp_path), labels=LABELS)


def test_labels_must_be_as_many_as_scores(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="logits gives 6 scores, but there are 5 labels"):
        taken(file(plain(), tmp_path), labels=LABELS[:5])


def test_the_scores_may_be_read_on_in_the_graph(tmp_path: Path) -> None:
    """As Keras exports do that return both."""
    nodes, weights = body()
    nodes.append(helper.make_node("Softmax", ["logits"], ["chances"]))
    network = model(nodes, weights, outputs=[scores("chances"), scores()])
    image = photo()
    check(
        built(taken(file(network, tmp_path), output="logits"), tmp_path),
        image,
        answer(plain(), planes(normalised(image))),
    )


def test_a_map_is_named(tmp_path: Path) -> None:
    nodes, weights = body()
    network = model(nodes[:8], weights[:6], outputs=[scores("r3", ("N", 16, 6, 6))])
    with pytest.raises(InvalidPackage, match=r"r3 is float32 \[1, 16, 6, 6\], a map over the image.*segment"):
        taken(file(network, tmp_path), labels=LABELS)


def rows_of(last: str) -> onnx.ModelProto:
    """[batch, 36 places, 16] as `y`, by the operator `last`."""
    nodes, weights = body()
    turned = helper.make_node("Transpose", ["r3"], ["t"], perm=[0, 2, 3, 1])
    rows = helper.make_node("Reshape", ["t", "shape"], ["rows"])
    shape = numpy_helper.from_array(np.array([-1, 36, 16]), "shape")
    end = helper.make_node(last, ["rows"], ["y"])
    return model([*nodes[:8], turned, rows, end], [*weights[:6], shape], outputs=[scores("y", ("N", 36, 16))])


@pytest.mark.parametrize(
    ("last", "what"), [("Softmax", "as text recognisers give"), ("Sigmoid", "as object detectors")]
)
def test_rows_are_named(last: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=rf"y is float32 \[1, 36, 16\], .*{what}.*labels need"):
        taken(file(rows_of(last), tmp_path), labels=LABELS)


def test_the_class_itself_is_no_score(tmp_path: Path) -> None:
    nodes, weights = body()
    nodes.append(helper.make_node("ArgMax", ["logits"], ["y"], axis=1))
    network = model(nodes, weights, outputs=[scores("y", ("N", 1), TensorProto.INT64)])
    with pytest.raises(InvalidPackage, match=r"y is int64 \[1, 1\].*floating-point scores"):
        taken(file(network, tmp_path), output="y")


def test_a_sequence_is_no_row_of_scores(tmp_path: Path) -> None:
    nodes, weights = body()
    nodes.append(helper.make_node("SequenceConstruct", ["logits"], ["y"]))
    network = model(nodes, weights)
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", CLASSES])
    network.graph.output[0].CopyFrom(helper.make_value_info("y", helper.make_sequence_type_proto(element)))
    with pytest.raises(InvalidPackage, match="y is a sequence"):
        taken(file(network, tmp_path))


def test_a_weight_is_no_answer(tmp_path: Path) -> None:
    network = plain(outputs=[scores("w", (1, CLASSES))])
    network.graph.initializer.append(array("w", 1, CLASSES))
    with pytest.raises(InvalidPackage):
        built(taken(file(network, tmp_path)), tmp_path)


def test_what_is_no_row_of_scores_is_answered_as_it_is(tmp_path: Path) -> None:
    imported = taken(file(two_outputs(), tmp_path))
    assert (imported.task, imported.picture) == (Tensors(), Picture(height=SIDE, width=SIDE))
    assert imported.notes[-1] == "it answers with its outputs as they are: logits float32 [1, 6], f float32 [1, 16]"
    assert taken(file(rows_of("Sigmoid"), tmp_path)).task == Tensors()
