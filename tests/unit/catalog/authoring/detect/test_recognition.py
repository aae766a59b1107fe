"""What is recognised, what could be two things, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.detect import FAMILIES, Heads, decode, examine, family, fitted, recognise
from collabd.catalog.authoring.detect.heads import without_sizes
from collabd.catalog.authoring.detect.metadata import class_names as stated_names
from collabd.catalog.authoring.detect.metadata import image_size
from collabd.catalog.package.coco import COCO_80, COCO_90, COCO_91, class_names
from tests.unit.catalog.authoring.detect import references
from tests.unit.catalog.authoring.detect.networks import Net, pictures, recognised, run


def heads(*shapes: tuple[int, ...], side: int = 416, classes: int | None = None, task: str | None = None) -> Heads:
    outputs = {f"output{index}": np.zeros(shape, np.float32) for index, shape in enumerate(shapes)}
    return Heads(height=side, width=side, outputs=outputs, classes=classes, task=task)


@pytest.mark.parametrize(
    ("shapes", "side", "name", "classes"),
    [
        ([(1, 3549, 85)], 416, "yolox", 80),
        ([(1, 8400, 85)], 640, "yolox", 80),
        ([(1, 3598, 112)], 416, "nanodet-plus", 80),
        ([(1, 2125, 112)], 320, "nanodet-plus", 80),
        ([(1, 2100, 112)], 320, "nanodet", 80),
        ([(1, 3549, 124)], 416, "nanodet", 80),
        ([(1, 25200, 85)], 640, "yolov5", 80),
        ([(1, 25200, 6)], 640, "yolov5", 1),
        ([(1, 25200, 85), (1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)], 640, "yolov5", 80),
        ([(1, 84, 8400)], 640, "yolov8", 80),
        ([(1, 5, 8400)], 640, "yolov8", 1),
        ([(1, 84, 34000)], 640, "yolov8", 80),
        ([(1, 300, 6)], 640, "yolo-end2end", 80),
        ([(1, 2100, 4), (1, 2100, 80)], 320, "yolo-nas", 80),
        ([(1, 10, 4), (1, 10), (1, 10), (1,)], 300, "ssd", 90),
    ],
)
def test_published_shapes(shapes: list[tuple[int, ...]], side: int, name: str, classes: int) -> None:
    found = recognise(heads(*shapes, side=side))
    assert found is not None
    assert (found.family.name, found.decoder.classes) == (name, classes)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 1000)],  # a classifier
        [(1, 116, 8400), (1, 32, 160, 160)],  # boxes with masks
        [(1, 3000, 85)],  # no number of cells
        [(1, 300, 4), (1, 300, 91)],  # queries of a network that nobody names
        [(1, 21, 640, 640)],
    ],
)
def test_other_outputs_are_of_no_family(shapes: list[tuple[int, ...]]) -> None:
    assert recognise(heads(*shapes, side=640)) is None


@pytest.mark.parametrize(
    ("score", "kind", "is_one"), [(0.9, 3, True), (0.9, 3.5, False), (1.1, 3, False), (0.9, -1, False)]
)
def test_rows_of_six_must_hold_a_score_and_a_class(score: float, kind: float, is_one: bool) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 7, 4:] = score, kind
    found = recognise(Heads(height=640, width=640, outputs={"output0": rows}))
    assert (found is not None) == is_one


def test_names_tell_rf_detr() -> None:
    outputs = {"dets": np.zeros((1, 300, 4), np.float32), "labels": np.zeros((1, 300, 91), np.float32)}
    found = recognise(Heads(height=384, width=384, outputs=outputs))
    assert found is not None
    assert found.family is FAMILIES["rf-detr"]


def queries(width: int, *, classes: int | None = None, logits: str = "logits") -> Heads:
    outputs = {logits: np.zeros((1, 300, width), np.float32), "pred_boxes": np.zeros((1, 300, 4), np.float32)}
    return Heads(height=640, width=640, outputs=outputs, classes=classes)


@pytest.mark.parametrize(
    ("width", "stated", "name", "classes"),
    [
        (80, None, "rt-detr", 80),
        (80, 80, "rt-detr", 80),
        (80, 79, "detr", 79),
        (91, None, "rf-detr", 91),
        (92, None, "detr", 91),
        (92, 91, "detr", 91),
        (4, 3, "detr", 3),
    ],
)
def test_names_and_width_tell_the_networks_of_the_detr_family(
    width: int, stated: int | None, name: str, classes: int
) -> None:
    for logits in ("logits", "pred_logits"):
        found = recognise(queries(width, classes=stated, logits=logits))
        assert found is not None
        assert (found.family.name, found.decoder.classes) == (name, classes)


def test_other_widths_of_the_detr_family_must_be_named() -> None:
    with pytest.raises(InvalidRequest, match="rt-detr with 5 classes or rf-detr with 5 classes or detr with 4 classes"):
        recognise(queries(5))
    # Both of these take the same scores of pictures that are normalised differently.
    with pytest.raises(InvalidRequest, match=r"rt-detr with 92 .* or rf-detr with 92 classes: say .*--decoder"):
        recognise(queries(92, classes=92))
    assert fitted(family("detr"), queries(5)).decoder.classes == 4
    assert fitted(family("rt-detr"), queries(4)).decoder.classes == 4


def test_shapes_of_two_families_must_be_named() -> None:
    # 37 values are 32 classes of YOLOX, or 5 classes of NanoDet.
    with pytest.raises(InvalidRequest, match=r"yolox with 32 classes or nanodet with 5 classes.*--decoder"):
        recognise(heads((1, 3549, 37)))
    stated = recognise(heads((1, 3549, 37), classes=5))
    assert stated is not None
    assert stated.family is FAMILIES["nanodet"]
    assert fitted(family("yolox"), heads((1, 3549, 37))).decoder.classes == 32


def test_a_decoder_that_does_not_fit_names_both_sides() -> None:
    with pytest.raises(InvalidPackage, match=r"416x416 YOLOX gives .*3549, 5 \+ classes.* gives .*\[1, 3000, 85\]"):
        fitted(family("yolox"), heads((1, 3000, 85)))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_refuses_a_classifier_in_words(name: str) -> None:
    with pytest.raises(InvalidPackage, match=r"output0 float32 \[1, 1000\]"):
        fitted(family(name), heads((1, 1000)))


def test_labels_must_be_as_many_as_classes() -> None:
    with pytest.raises(InvalidPackage, match="80 classes apart, but there are 3 labels"):
        fitted(family("yolox"), heads((1, 3549, 85), classes=3))


def test_an_unknown_decoder_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="no decoder 'yolo99'; there are yolox, nanodet-plus"):
        family("yolo99")


def test_a_file_that_says_it_is_for_another_task_is_no_detector() -> None:
    poses = heads((1, 56, 8400), side=640, task="pose")
    assert recognise(poses) is None
    with pytest.raises(InvalidPackage, match="task 'pose'"):
        fitted(family("yolov8"), poses)


def boxes_in_pixels() -> tuple[onnx.ModelProto, Net]:
    """YOLOX with its own decoder in the graph, at 64x96."""
    net = Net(64, 96)
    rows = net.all_rows([8, 16, 32], 5 + 80)
    x, y, stride = references.grid(64, 96, (8, 16, 32))
    corner = np.stack([x, y], axis=1).astype(np.float32)
    centre = net.add("Add", net.part(rows, 0, 2), corner)
    size = net.add("Exp", net.part(rows, 2, 4))
    pixels = net.add("Mul", net.add("Concat", centre, size, axis=2), stride[:, np.newaxis].astype(np.float32))
    return net.model({"output": net.add("Concat", pixels, net.add("Sigmoid", net.part(rows, 4, 85)), axis=2)}), net


def test_yolox_that_decodes_by_itself_is_not_decoded_again() -> None:
    model, _ = boxes_in_pixels()
    found = recognised(model)
    assert found.family is FAMILIES["yolox"]
    images = pictures(1, 64, 96)
    raw = run(model, images=images)[0][0]
    best = references.yolov5(raw).best(100)
    boxes, _, classes = run(decode(model, found, iou_threshold=1.0), images=images)
    np.testing.assert_allclose(boxes[0], best.boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(classes[0], best.classes)


def with_metadata(model: onnx.ModelProto, **entries: str) -> onnx.ModelProto:
    helper.set_model_props(model, entries)
    return model


def test_names_of_classes_come_from_the_file() -> None:
    model, _ = boxes_in_pixels()
    assert stated_names(model) is None
    assert stated_names(with_metadata(model, names="{0: 'cat', 1: 'dog'}")) == ("cat", "dog")
    assert stated_names(with_metadata(model, names="['cat', 'dog']")) == ("cat", "dog")


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "{1: 'cat'}", "{'a': 'cat'}", "3", "__import__('os')", "(" * 50_000, "[" + "0," * 60_000]
)
def test_other_text_names_nothing(text: str) -> None:
    model, _ = boxes_in_pixels()
    assert stated_names(with_metadata(model, names=text)) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("[320, 416]", (320, 416)), ("[0, 0]", None), ("640", None), ("[a, b]", None), ("[1.5, 2]", None)],
)
def test_the_size_of_pictures_comes_from_the_file(text: str, size: tuple[int, int] | None) -> None:
    model, _ = boxes_in_pixels()
    assert image_size(model) is None
    assert image_size(with_metadata(model, imgsz=text)) == size


def test_names_that_do_not_fit_recognise_nothing() -> None:
    model, _ = boxes_in_pixels()
    assert recognise(examine(with_metadata(model, names="{0: 'cat'}"))) is None


def test_a_graph_with_other_inputs_keeps_them() -> None:
    model, net = boxes_in_pixels()
    assert without_sizes(model) is model
    net.inputs.append(helper.make_tensor_value_info("prompt", TensorProto.INT64, ["N", 77]))
    two = net.model({"again": "output"})
    assert without_sizes(two) is two


def test_the_names_of_coco() -> None:
    assert [len(names) for names in (COCO_80, COCO_90, COCO_91)] == [80, 90, 91]
    assert (COCO_80[0], COCO_80[2], COCO_80[79]) == ("person", "car", "toothbrush")
    assert (COCO_91[1], COCO_91[3], COCO_91[90]) == ("person", "car", "toothbrush")
    assert COCO_90[2] == "car"
    assert class_names(3) == ("0", "1", "2")
    assert all(len(set(names)) == len(names) for names in (COCO_80, COCO_91))
