"""Every way in which a network takes its image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.package.manifest import Picture, Tensors
from tests.unit.catalog.authoring.foreign.networks import (
    MEAN,
    SIDE,
    STD,
    Size,
    answer,
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

GREY = np.array([19595, 38470, 7471]) / 65536


def rows_first(channels: int = 3, **changes: Any) -> onnx.ModelProto:
    """As exports of TensorFlow: channels behind, and the graph turns them."""
    nodes, weights = body(channels, x="turned")
    return model([helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2]), *nodes], weights, **changes)


def of_bytes(network: onnx.ModelProto) -> onnx.ModelProto:
    """`network` with an input of uint8, which it turns into float itself."""
    nodes = network.graph.node
    for node in nodes:
        node.input[:] = ["x as float" if name == "x" else name for name in node.input]
    nodes.insert(0, helper.make_node("Cast", ["x"], ["x as float"], to=TensorProto.FLOAT))
    network.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return network


@pytest.mark.parametrize(
    "shape",
    [("N", SIDE, SIDE, 3), (-1, SIDE, SIDE, 3), (1, SIDE, SIDE, 3), ("N", "height", "width", 3), (None,) * 4],
)
def test_float_rows(shape: tuple[Size, ...], tmp_path: Path) -> None:
    network = rows_first(shape=shape)
    package = built(taken(file(network, tmp_path), size=(SIDE, SIDE)), tmp_path)
    image = photo()
    check(package, image, answer(network, normalised(image)))


@pytest.mark.parametrize(
    "shape",
    [("N", 3, SIDE, SIDE), (-1, 3, -1, -1), (0, 3, SIDE, SIDE), ("?", 3, "?", "?"), (1, 3, "height", "width"),
     ("N", "C", SIDE, SIDE), (None,) * 4],
)  # fmt: skip
def test_float_planes(shape: tuple[Size, ...], tmp_path: Path) -> None:
    network = plain(shape=shape)
    package = built(taken(file(network, tmp_path), size=(SIDE, SIDE)), tmp_path)
    image = photo()
    check(package, image, answer(plain(), planes(normalised(image))))


def test_sides_that_differ_keep_their_order(tmp_path: Path) -> None:
    network = rows_first(shape=("N", "h", "w", 3))
    imported = taken(file(network, tmp_path), size=(20, 28))
    assert imported.picture == Picture(height=20, width=28)
    image = photo(height=20, width=28)
    check(built(imported, tmp_path), image, answer(network, normalised(image)))


@pytest.mark.parametrize("shape", [(-1, 3, -1, -1), ("N", "height", "width", 3), ("N", 3, SIDE, "width")])
def test_an_open_size_is_asked_for_by_the_name_of_its_option(shape: tuple[Size, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="--size"):
        taken(file(plain(shape=shape), tmp_path))


def grey(image: np.ndarray) -> np.ndarray:
    """What Pillow makes of it: uint8 [1, height, width, 1]."""
    return np.asarray(Image.fromarray(image[0]).convert("L"))[np.newaxis, ..., np.newaxis]


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("in_front", [True, False])
def test_one_grey_channel_of_floats(in_front: bool, opset: int, tmp_path: Path) -> None:
    if in_front:
        network = model(*body(1), shape=("N", 1, SIDE, SIDE), opset=opset)
    else:
        network = rows_first(1, shape=("N", SIDE, SIDE, 1), opset=opset)
    imported = taken(file(network, tmp_path))
    assert "one grey channel" in " ".join(imported.notes)
    image = photo()
    x = ((grey(image) / 255 - MEAN @ GREY) / (STD @ GREY)).astype(np.float32)
    check(built(imported, tmp_path), image, answer(network, planes(x) if in_front else x))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("in_front", [True, False])
def test_bytes_are_not_normalised(in_front: bool, channels: int, tmp_path: Path) -> None:
    shape = ("N", channels, SIDE, SIDE) if in_front else ("N", SIDE, SIDE, channels)
    network = of_bytes(model(*body(channels), shape=shape) if in_front else rows_first(channels, shape=shape))
    image = photo()
    x = grey(image) if channels == 1 else image
    package = built(taken(file(network, tmp_path)), tmp_path)
    check(package, image, answer(network, planes(x) if in_front else x))


@pytest.mark.parametrize("size", [7, 255])
def test_luma_is_pillows_for_every_pixel(size: int, tmp_path: Path) -> None:
    """A network that returns its grey input: three images of all kinds of colours."""
    side = 64
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Cast", ["f"], ["logits"], to=TensorProto.FLOAT),
    ]
    network = model(nodes, [], shape=("N", 1, side, side), kind=TensorProto.UINT8)
    imported = taken(file(network, tmp_path))
    image = photo(size, side, side)
    found = answer(imported.model, image)
    np.testing.assert_array_equal(found.reshape(side, side), grey(image)[0, ..., 0])


def test_half_floats_throughout(tmp_path: Path) -> None:
    nodes, weights = body()
    half = [onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w).astype(np.float16), w.name) for w in weights]
    network = model(nodes, half, kind=TensorProto.FLOAT16, outputs=[scores(kind=TensorProto.FLOAT16)])
    imported = taken(file(network, tmp_path))
    assert "its half floats become float32" in imported.notes
    image = photo()
    package = built(imported, tmp_path)
    assert package.network().outputs[0].dtype == np.float32
    check(package, image, answer(network, planes(normalised(image)).astype(np.float16)), tolerance=1e-2)


def test_double_floats_at_both_ends(tmp_path: Path) -> None:
    nodes, weights = body(x="single")
    first = helper.make_node("Cast", ["x"], ["single"], to=TensorProto.FLOAT)
    last = helper.make_node("Cast", ["logits"], ["y"], to=TensorProto.DOUBLE)
    ends = [scores("y", kind=TensorProto.DOUBLE)]
    network = model([first, *nodes, last], weights, kind=TensorProto.DOUBLE, outputs=ends)
    image = photo()
    package = built(taken(file(network, tmp_path)), tmp_path)
    check(package, image, answer(network, planes(normalised(image)).astype(np.float64)))


def test_weights_in_bfloat16_are_widened(tmp_path: Path) -> None:
    nodes, weights = body()
    stored = onnx.numpy_helper.from_array(
        onnx.numpy_helper.to_array(weights[2]).astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)), "stored"
    )
    cast = helper.make_node("Cast", ["stored"], ["w2"], to=TensorProto.FLOAT)
    network = model([cast, *nodes], [stored, *(weight for weight in weights if weight.name != "w2")])
    image = photo()
    rounded = onnx.numpy_helper.to_array(stored).astype(np.float32)
    weights[2].CopyFrom(onnx.numpy_helper.from_array(rounded, "w2"))
    expected = answer(model(nodes, weights), planes(normalised(image)))
    check(built(taken(file(network, tmp_path)), tmp_path), image, expected)


@pytest.mark.parametrize("batch", [4, 32])
def test_a_fixed_number_of_images_is_taken_for_one_where_the_scores_stay(batch: int, tmp_path: Path) -> None:
    network = plain(shape=(batch, 3, SIDE, SIDE), outputs=[scores(shape=(batch, 6))])
    imported = taken(file(network, tmp_path))
    assert f"{batch} images at once" in " ".join(imported.notes)
    image = photo()
    check(built(imported, tmp_path), image, answer(plain(), planes(normalised(image))))


def test_a_fixed_number_of_images_that_the_graph_needs_is_refused(tmp_path: Path) -> None:
    nodes, weights = body()
    nodes.append(helper.make_node("Reshape", ["logits", "shape"], ["y"]))
    weights.append(onnx.numpy_helper.from_array(np.array([4, 6]), "shape"))
    network = model(nodes, weights, shape=(4, 3, SIDE, SIDE), outputs=[scores("y", (4, 6))])
    with pytest.raises(InvalidPackage, match="takes 4 images at once; export it with a dynamic batch"):
        taken(file(network, tmp_path))


def test_several_inputs_have_no_labels(tmp_path: Path) -> None:
    nodes, weights = body()
    network = model([*nodes[:-1], helper.make_node("Mul", ["f", "mask"], ["m"]), nodes[-1]], weights)
    network.graph.node[-1].input[0] = "m"
    network.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 16]))
    with pytest.raises(InvalidPackage, match=r"only a network that takes one image has labels.* takes x, mask"):
        resolve(str(file(network, tmp_path)), ImportOptions(labels=tuple("abcdef")))
    imported = resolve(str(file(network, tmp_path)))
    assert (imported.task, imported.picture) == (Tensors(), None)


def test_an_input_that_nothing_reads_does_not_count(tmp_path: Path) -> None:
    network = plain()
    network.graph.input.append(helper.make_tensor_value_info("learning_phase", TensorProto.BOOL, []))
    image = photo()
    check(built(taken(file(network, tmp_path)), tmp_path), image, answer(plain(), planes(normalised(image))))


def test_a_sequence_is_no_image(tmp_path: Path) -> None:
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    first = helper.make_node("SequenceAt", ["images", "first"], ["x"])
    nodes, weights = body()
    network = model([first, *nodes], [*weights, onnx.numpy_helper.from_array(np.array(0), "first")])
    network.graph.input[0].CopyFrom(helper.make_value_info("images", helper.make_sequence_type_proto(element)))
    with pytest.raises(InvalidPackage, match=r"input images is not a tensor"):
        taken(file(network, tmp_path))


def test_names_in_the_graph_do_not_clash_with_ours(tmp_path: Path) -> None:
    """An inner tensor called as the image is, weights called as our constants are, twins among the nodes."""
    nodes, weights = body()
    renamed = {"r1": "image", "w1": "collabd.scaled.constant", "b1": "collabd.float", "f": "scores", "x": "Eingang/ä:0"}
    for node in nodes:
        node.name = "twin"
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for weight in weights:
        weight.name = renamed.get(weight.name, weight.name)
    network = model(nodes, weights)
    network.graph.input[0].name = "Eingang/ä:0"
    network.graph.doc_string = network.doc_string = "made by a tool\n"
    helper.set_model_props(network, {"author": "somebody"})
    image = photo()
    package = built(taken(file(network, tmp_path)), tmp_path)
    assert package.manifest.input_names == ("image",)
    check(package, image, answer(plain(), planes(normalised(image))))


def test_what_was_taken_is_said(tmp_path: Path) -> None:
    said = "its input is float32 [batch, 3, height, width], RGB, normalised by mean 0.4 0.5 0.6 and std 0.2 0.25 0.3"
    assert taken(file(plain(), tmp_path)).notes == (said,)
