from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from collab_sdk.errors import InvalidImage, InvalidPackage
from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Classify, Cut, Picture
from collabd.catalog.package.package import Package
from collabd.codec import JPEG_CODECS, USUAL_JPEG
from collabd.engine import Engine
from tests.original import reference_scores
from tests.task_networks import package_of


def make(model: onnx.ModelProto, out: Path, **changes: Any) -> Package:
    statement: dict[str, Any] = {
        "name": "tiny",
        "task": Classify(labels=("circle", "square", "star")),
        "picture": Picture(height=16, width=16),
        "licence": "CC0-1.0",
        "provenance": "made for the tests",
    }
    return build(model, **(statement | changes), out=out / "tiny")


def counted(cut: Cut) -> dict[str, int | None]:
    """Over how many images each codec is calibrated; None: it is lossless."""
    return {each.codec: None if each.agreement is None else each.agreement.images for each in cut.codecs}


def changed(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def scores(package: Package, images: np.ndarray) -> np.ndarray:
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("tiny", package.network())
    return np.concatenate([engine.run("tiny", {"image": image[np.newaxis]}, ["logits"])["logits"] for image in images])


def test_the_package_computes_what_the_model_did(
    tiny_package: Package, tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray]
) -> None:
    images = np.stack(tiny_images)
    expected = reference_scores(tiny_model, images)
    found = scores(tiny_package, images)
    assert np.abs(found - expected).max() < 2e-3 * np.ptp(expected)


def test_any_onnx_tool_can_run_the_stored_graph(
    tiny_package: Package, tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray]
) -> None:
    graph = onnx.load(tiny_package.path / "model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.graph.initializer}
    images = np.stack(tiny_images)
    expected = reference_scores(tiny_model, images)
    assert np.abs(reference_scores(graph, images) - expected).max() < 2e-3 * np.ptp(expected)


def test_every_tensor_of_the_stored_graph_has_its_shape(tiny_package: Package) -> None:
    graph = onnx.load(tiny_package.path / "model.onnx").graph
    stated = {value.name for value in (*graph.value_info, *graph.output) if value.type.tensor_type.HasField("shape")}
    assert {name for node in graph.node for name in node.output} == stated


def test_the_manifest_tells_layers_and_cuts(tiny_package: Package) -> None:
    manifest = tiny_package.manifest
    assert (manifest.input_names, manifest.output_names, manifest.output_kind) == (("image",), ("logits",), "logits")
    assert manifest.dynamic_batch
    assert [layer.op for layer in manifest.layers] == ["Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Gemm"]
    assert manifest.layers[0].macs == 8 * 27 * 16 * 16
    assert [cut.name for cut in manifest.cuts] == ["image", "relu1", "pool1", "pool2"]
    assert manifest.accuracy == {"dataset": "none", "images": 60, "top1": 0.5}


def test_the_codecs_are_calibrated_over_the_images(tiny_package: Package) -> None:
    image, *interior = tiny_package.manifest.cuts
    assert counted(image) == {"u8": None} | dict.fromkeys((each.codec for each in image.codecs[1:]), 60)
    assert {"jpeg90"} < {each.codec for each in image.codecs}
    for cut in interior:
        assert counted(cut) == {"f32": None, "f16": 60, "q8": 60, "q4": 60}
        # Of four bits so little is left that scales for each channel can take more than they save.
        sizes = [figures.bytes_median for figures in cut.codecs if figures.channel_axis is None]
        assert sizes == sorted(sizes, reverse=True)
        q8 = cut.codecs[2].agreement
        assert q8 is not None
        assert q8.agreed >= 57


def test_equal_input_gives_an_equal_digest(tiny_model: onnx.ModelProto, tiny_package: Package, tmp_path: Path) -> None:
    first, second = (make(tiny_model, tmp_path / run) for run in "ab")
    assert first.digest == second.digest
    assert first.digest != tiny_package.digest


def test_the_given_model_is_not_changed(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    before = tiny_model.SerializeToString(deterministic=True)
    make(tiny_model, tmp_path)
    assert tiny_model.SerializeToString(deterministic=True) == before


def test_without_images_nothing_is_promised_of_lossy_codecs(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    image, *interior = make(tiny_model, tmp_path).manifest.cuts
    assert counted(image) == {"u8": None} | dict.fromkeys(JPEG_CODECS, 0)
    for cut in interior:
        assert counted(cut) == {"f32": None, "f16": 0, "q8": 0, "q4": 0}
    lossy = [figures for cut in (image, *interior) for figures in cut.codecs if figures.agreement is not None]
    assert {(figures.fidelity, figures.overall) for figures in lossy} == {(0.0, 0.0)}


def test_tensors_are_not_changed_without_images(tmp_path: Path) -> None:
    package = package_of("tensors", tmp_path / "tensors")
    assert {figures.fidelity for cut in package.manifest.cuts for figures in cut.codecs} == {1.0}


def test_encoded_images_are_resized(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(data, "JPEG")
    package = make(tiny_model, tmp_path, images=[data.getvalue()])
    assert set(counted(package.manifest.cuts[0]).values()) == {None, 1}


def test_a_broken_image_is_refused_and_nothing_written(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    with pytest.raises(InvalidImage):
        make(tiny_model, tmp_path, images=[b"\xff\xd8 not an image"])
    assert list(tmp_path.iterdir()) == []


def test_the_licence_is_the_whole_text_or_names_itself(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    named = make(tiny_model, tmp_path / "named")
    assert "CC0-1.0" in (named.path / "LICENCE").read_text()
    assert "made for the tests" in (named.path / "LICENCE").read_text()
    whole = make(tiny_model, tmp_path / "whole", licence_text="All of it.\n")
    assert (whole.path / "LICENCE").read_text() == "All of it.\n"


def behind(model: onnx.ModelProto, *nodes: onnx.NodeProto, **weights: Any) -> onnx.ModelProto:
    """`model` with `nodes` behind its logits, the last of which makes `out`."""
    model = changed(model)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(each), name) for name, each in weights.items())
    model.graph.output[0].name = "out"
    return model


def softmax(out: str) -> onnx.NodeProto:
    return helper.make_node("Softmax", ["logits"], [out], axis=1)


DISGUISES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "plain": ([softmax("out")], {}),
    "reshaped": (
        [softmax("p"), helper.make_node("Reshape", ["p", "sizes"], ["out"])],
        {"sizes": np.array([-1, 3])},
    ),
    "flattened": ([softmax("p"), helper.make_node("Flatten", ["p"], ["out"])], {}),
    "in half width": (
        [
            helper.make_node("Cast", ["logits"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Softmax", ["half"], ["p"], axis=1),
            helper.make_node("Cast", ["p"], ["out"], to=TensorProto.FLOAT),
        ],
        {},
    ),
    "in 8 bits": (
        [
            softmax("p"),
            helper.make_node("QuantizeLinear", ["p", "step", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["out"]),
        ],
        {"step": np.float32(1 / 255), "zero": np.uint8(0)},
    ),
    "written out": (
        [
            helper.make_node("Exp", ["logits"], ["e"]),
            helper.make_node("ReduceSum", ["e", "axis1"], ["sum"]),
            helper.make_node("Div", ["e", "sum"], ["out"]),
        ],
        {"axis1": np.array([1])},
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_softmax_is_known_in_every_disguise(tiny_model: onnx.ModelProto, tmp_path: Path, disguise: str) -> None:
    nodes, weights = DISGUISES[disguise]
    told: list[str] = []
    manifest = make(behind(tiny_model, *nodes, **weights), tmp_path, tell=told.append).manifest
    assert (manifest.output_names, manifest.output_kind) == (("out",), "probabilities")
    assert told == ["scores: probabilities, because they lie within 0 to 1, and sum to 1 for each of 10 images"]


def test_sigmoids_are_independent_be_they_several_or_one(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    several = behind(tiny_model, helper.make_node("Sigmoid", ["logits"], ["out"]))
    assert make(several, tmp_path).manifest.output_kind == "independent"
    first = helper.make_node("Gather", ["logits", "first"], ["one"], axis=1)
    one = behind(tiny_model, first, helper.make_node("Sigmoid", ["one"], ["out"]), first=np.array([0]))
    one.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    assert make(one, tmp_path, task=Classify(labels=("circle",))).manifest.output_kind == "independent"


def test_what_the_author_states_of_the_scores_holds(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    told: list[str] = []
    manifest = make(tiny_model, tmp_path, scores="independent", tell=told.append).manifest
    assert manifest.output_kind == "independent"
    assert told[0].startswith(
        "scores: independent, as stated by --scores, although they look like logits: they go from "
    )


def test_one_label_is_calibrated_by_whether_it_applies(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    """And not by which is the largest of one."""
    one = behind(tiny_model, helper.make_node("Gather", ["logits", "first"], ["out"], axis=1), first=np.array([0]))
    one.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    package = make(one, tmp_path, task=Classify(labels=("circle",)), images=tiny_images)
    usual = next(figures.agreement for figures in package.manifest.cuts[0].codecs if figures.codec == USUAL_JPEG)
    assert package.manifest.output_kind == "logits"
    assert usual is not None
    assert 30 < usual.agreed < 60


def test_copies_of_an_image_count_once(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    told: list[str] = []
    package = make(tiny_model, tmp_path, images=[*tiny_images[:20], *tiny_images[:20]], tell=told.append)
    assert {images for cut in package.manifest.cuts for images in counted(cut).values()} == {None, 20}
    assert "only 20 of the 40 calibration images differ, and copies add nothing" in told


def test_a_network_that_always_says_the_same_promises_little(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    model = changed(tiny_model)
    bias = next(weight for weight in model.graph.initializer if weight.name == "fc.bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([0, 1000, 0], np.float32), "fc.bias"))
    told: list[str] = []
    package = make(model, tmp_path, images=tiny_images, tell=told.append)
    lossy = [figures for cut in package.manifest.cuts for figures in cut.codecs if figures.agreement]
    assert max(figures.fidelity for figures in lossy) < 0.96
    assert any("the network puts all calibration images into 1 of its 3 classes" in line for line in told)


def test_a_fixed_batch_of_one_is_kept(
    tiny_model: onnx.ModelProto, tmp_path: Path, tiny_images: list[np.ndarray]
) -> None:
    model = changed(tiny_model)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    package = make(model, tmp_path, images=tiny_images[:4])
    assert not package.manifest.dynamic_batch
    assert package.network().inputs[0].shape == (1, 16, 16, 3)
    assert counted(package.manifest.cuts[1])["f16"] == 4


def test_a_fixed_batch_of_several_is_refused(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    model = changed(tiny_model)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    with pytest.raises(InvalidPackage, match="takes 4 images at once; export it"):
        make(model, tmp_path)


def with_pooling(model: onnx.ModelProto, before: onnx.NodeProto, after: onnx.NodeProto) -> onnx.ModelProto:
    """`model` with a node around its first pooling: `before` makes `turned` of `relu1`, `after` `pool1` of `pooled`."""
    model = changed(model)
    nodes = list(model.graph.node)
    pool = next(index for index, node in enumerate(nodes) if node.name == "pool1")
    nodes[pool].input[0], nodes[pool].output[0] = "turned", "pooled"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:pool], before, nodes[pool], after, *nodes[pool + 1 :]])
    return model


def transposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Between the two the images lie along the second axis."""
    return with_pooling(
        model,
        helper.make_node("Transpose", ["relu1"], ["turned"], perm=[1, 0, 2, 3]),
        helper.make_node("Transpose", ["pooled"], ["pool1"], perm=[1, 0, 2, 3]),
    )


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Between the two each image takes two places of the first axis."""
    model = with_pooling(
        model,
        helper.make_node("Reshape", ["relu1", "halves"], ["turned"]),
        helper.make_node("Reshape", ["pooled", "wholes"], ["pool1"]),
    )
    for name, shape in {"halves": [-1, 4, 16, 16], "wholes": [-1, 8, 8, 8]}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape), name))
    return model


def halved_and_stated(model: onnx.ModelProto) -> onnx.ModelProto:
    """As exporters do, with a shape for every tensor, which leaves open how many places an image takes."""
    model = halved(model)
    for node in model.graph.node[:-1]:
        kind = TensorProto.UINT8 if node.op_type == "Transpose" else TensorProto.FLOAT
        shape = ["n", "features"] if node.op_type == "Flatten" else ["n", "c", "h", "w"]
        model.graph.value_info.append(helper.make_tensor_value_info(node.output[0], kind, shape))
    return model


@pytest.mark.parametrize(
    ("change", "shape"),
    [(transposed, (8, 1, 8, 8)), (halved, (2, 4, 8, 8)), (halved_and_stated, (2, 4, 8, 8))],
)
def test_a_graph_whose_features_do_not_stack_gets_a_fixed_batch(
    tiny_model: onnx.ModelProto,
    tiny_images: list[np.ndarray],
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], onnx.ModelProto],
    shape: tuple[int, ...],
) -> None:
    """The features of several requests are joined along the first axis, one entry each."""
    package = make(change(tiny_model), tmp_path)
    assert not package.manifest.dynamic_batch
    assert ("pooled",) in [cut.tensors for cut in package.manifest.cuts]
    assert package.network().tensor("pooled").shape == shape
    images = np.stack(tiny_images[:5])
    expected = reference_scores(tiny_model, images)
    assert np.abs(scores(package, images) - expected).max() < 2e-3 * np.ptp(expected)


def test_features_that_grow_with_the_batch_in_two_ways_do_not_stack(
    tiny_model: onnx.ModelProto, tmp_path: Path
) -> None:
    """Each image is multiplied with all others, which makes [batch, batch]."""
    model = changed(tiny_model)
    model.graph.node.extend(
        [
            helper.make_node("Transpose", ["logits"], ["columns"], perm=[1, 0]),
            helper.make_node("MatMul", ["logits", "columns"], ["pairs"]),
            helper.make_node("MatMul", ["pairs", "logits"], ["weighted"]),
        ]
    )
    model.graph.output[0].name = "weighted"
    assert not make(model, tmp_path).manifest.dynamic_batch


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_weights_beyond_float16_keep_their_width(tiny_model: onnx.ModelProto, tmp_path: Path, scale: float) -> None:
    model = changed(tiny_model)
    for weight in model.graph.initializer:
        if weight.name == "conv2.weight":
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(scale), weight.name))
    graph = onnx.load(make(model, tmp_path).path / "model.onnx").graph
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in graph.initializer}


def test_a_graph_that_fails_on_an_image_is_refused(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    """The brightest pixel looks up a table of two entries."""
    model = changed(tiny_model)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
            numpy_helper.from_array(np.array([1]), "last"),
            numpy_helper.from_array(np.zeros(2, np.float32), "table"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["float", "axes"], ["brightest"], keepdims=0),
            helper.make_node("Unsqueeze", ["brightest", "last"], ["column"]),
            helper.make_node("Cast", ["column"], ["entry"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "entry"], ["found"]),
            helper.make_node("Add", ["logits", "found"], ["sum"]),
        ]
    )
    model.graph.output[0].name = "sum"
    with pytest.raises(InvalidPackage, match=r"cannot run tiny in two parts: .*Gather"):
        make(model, tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"task": Classify(labels=("one", "two"))},
            r"tiny: classify with 2 labels gives float32 \[batch, 2\]; the package has logits float32 \[batch, 3\]",
        ),
        ({"picture": Picture(height=32, width=16)}, r"classify of a picture reads uint8 \[batch, 32, 16, 3\]"),
        ({"name": "not a name"}, "not 1 to 64 letters"),
        ({"task": Classify(labels=())}, "there are no labels"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny_model: onnx.ModelProto, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidPackage, match=complaint):
        make(tiny_model, tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_two_outputs_are_refused(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    model = changed(tiny_model)
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", 64]))
    with pytest.raises(InvalidPackage, match=r"3\]; the package has .*flat float32 \[batch, 64\]"):
        make(model, tmp_path)


def test_a_graph_that_cannot_be_cut_is_refused(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    model = changed(tiny_model)
    model.graph.node.append(helper.make_node("NonZero", ["logits"], ["places"]))
    model.graph.node.append(helper.make_node("Cast", ["places"], ["chosen"], to=TensorProto.FLOAT))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [2, "found"]))
    with pytest.raises(InvalidPackage, match=r"(cannot cut )?tiny: "):
        make(model, tmp_path)
