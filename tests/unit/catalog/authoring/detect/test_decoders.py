"""Each decoder, as a graph run by ONNX Runtime, gives what the published post-processing of its family gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from collabd.catalog.authoring.detect import decode
from collabd.catalog.authoring.detect.heads import without_sizes
from collabd.catalog.graph.effort import require_bounded, unfollowed
from collabd.partition import Network, annotate, candidate_cuts, layers
from collabd.tasks.suppression import suppress
from tests.unit.catalog.authoring.detect import references
from tests.unit.catalog.authoring.detect.networks import Net, decoded, pictures, recognised, run
from tests.unit.catalog.authoring.detect.references import Candidates, non_maximum_suppression

CLASSES = 7
Reference = Callable[[list[np.ndarray]], Candidates]


@dataclass(frozen=True)
class Case:
    """A network with raw outputs, and what is to be made of those for one picture."""

    model: onnx.ModelProto
    reference: Reference
    family: str
    stated: int | None = None


def yolox(height: int = 64, width: int = 96, *, classes: int = CLASSES, **built: Any) -> Case:
    net = Net(height, width, **built)
    rows = net.all_rows([8, 16, 32], 5 + classes)
    scores = net.add("Sigmoid", net.part(rows, 4, 5 + classes))
    model = net.model({"output": net.add("Concat", net.part(rows, 0, 4), scores, axis=2)})
    return Case(model, lambda raw: references.yolox(raw[0], height, width), "yolox", classes)


def yolov5(height: int = 64, width: int = 96, *, strides: tuple[int, ...] = (8, 16, 32), **built: Any) -> Case:
    net = Net(height, width, **built)
    rows = net.add("Sigmoid", net.all_rows(strides, 5 + CLASSES, per_cell=3, spread=2))
    model = net.model({"output0": net.add("Mul", rows, scale(height, width, 1 + CLASSES))})
    return Case(model, lambda raw: references.yolov5(raw[0]), "yolov5")


def scale(height: int, width: int, rest: int) -> np.ndarray:
    return np.array([width, height, width / 2, height / 2, *[1] * rest], np.float32)


def yolov8(height: int = 64, width: int = 96, *, strides: tuple[int, ...] = (8, 16, 32), **built: Any) -> Case:
    net = Net(height, width, **built)
    rows = net.add("Sigmoid", net.all_rows(strides, 4 + CLASSES, spread=2))
    pixels = net.add("Mul", rows, scale(height, width, CLASSES))
    model = net.model({"output0": net.add("Transpose", pixels, perm=[0, 2, 1])})
    return Case(model, lambda raw: references.yolov8(raw[0]), "yolov8")


def end_to_end(height: int = 64, width: int = 96) -> Case:
    net = Net(height, width)
    corner = net.add("Mul", net.add("Sigmoid", net.queries(300, 2)), np.array([width, height], np.float32) / 2)
    size = net.add("Mul", net.add("Sigmoid", net.queries(300, 2)), np.array([width, height], np.float32) / 2)
    score = net.add("Sigmoid", net.queries(300, 1))
    kind = net.add("Floor", net.add("Mul", net.add("Sigmoid", net.queries(300, 1)), np.array(80, np.float32)))
    rows = net.add("Concat", corner, net.add("Add", corner, size), score, kind, axis=2)
    model = net.model({"output0": rows})
    return Case(model, lambda raw: Candidates(raw[0][:, :4], raw[0][:, 4], raw[0][:, 5]), "yolo-end2end")


def yolo_nas(height: int = 64, width: int = 96) -> Case:
    net = Net(height, width)
    rows = net.add("Sigmoid", net.all_rows([8, 16, 32], 4 + CLASSES))
    corner = net.add("Mul", net.part(rows, 0, 2), np.array([width, height], np.float32) / 2)
    size = net.add("Mul", net.part(rows, 2, 4), np.array([width, height], np.float32) / 2)
    boxes = net.add("Concat", corner, net.add("Add", corner, size), axis=2)
    model = net.model({"boxes": boxes, "scores": net.part(rows, 4, 4 + CLASSES)})
    return Case(model, lambda raw: references.all_pairs(raw[0], raw[1]), "yolo-nas")


def nanodet_plus(height: int = 128, width: int = 64, *, classes: int = 80) -> Case:
    net = Net(height, width)
    rows = net.all_rows([8, 16, 32, 64], classes + 32, spread=2)
    scores = net.add("Sigmoid", net.part(rows, 0, classes))
    model = net.model({"output": net.add("Concat", scores, net.part(rows, classes, classes + 32), axis=2)})

    def reference(raw: list[np.ndarray]) -> Candidates:
        scores, logits = raw[0][:, :classes], raw[0][:, classes:]
        return references.nanodet(scores, logits, height=height, width=width, strides=(8, 16, 32, 64), offset=0)

    return Case(model, reference, "nanodet-plus", classes)


def nanodet_g(height: int = 64, width: int = 96) -> Case:
    net = Net(height, width)
    heads: dict[str, str] = {}
    for stride, x in net.pyramid([8, 16, 32]).items():
        heads[f"cls_pred_stride_{stride}"] = net.add("Sigmoid", net.rows(x, 80))
        heads[f"dis_pred_stride_{stride}"] = net.rows(x, 44, spread=3)

    def reference(raw: list[np.ndarray]) -> Candidates:
        scores, logits = np.concatenate(raw[::2]), np.concatenate(raw[1::2])
        return references.nanodet(scores, logits, height=height, width=width, strides=(8, 16, 32), offset=0.5)

    return Case(net.model(heads), reference, "nanodet")


def rf_detr(height: int = 64, width: int = 96) -> Case:
    net = Net(height, width)
    boxes = net.add("Sigmoid", net.queries(300, 4))
    model = net.model({"dets": boxes, "labels": net.queries(300, 91, spread=0.3)})
    return Case(model, lambda raw: references.rf_detr(raw[0], raw[1], height, width), "rf-detr")


def of_hugging_face(logits: int, family: str, *, stated: int | None = None, queries: int = 300) -> Case:
    """All queries, under the names that its exporter gives."""
    net = Net(64, 96)
    kinds = net.queries(queries, logits, spread=0.3)
    model = net.model({"logits": kinds, "pred_boxes": net.add("Sigmoid", net.queries(queries, 4))})
    reference = references.detr if family == "detr" else references.rf_detr
    return Case(model, lambda raw: reference(raw[1], raw[0], 64, 96), family, stated)


def rt_detr(height: int = 64, width: int = 96) -> Case:
    """With its own choice of 40, and boxes that it brings to the size that is its second input."""
    net = Net(height, width)
    net.inputs.append(onnx.helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["N", 2]))
    corner = net.add("Mul", net.add("Sigmoid", net.queries(40, 2)), np.array(0.5, np.float32))
    size = net.add("Mul", net.add("Sigmoid", net.queries(40, 2)), np.array(0.5, np.float32))
    boxes = net.add("Concat", corner, net.add("Add", corner, size), axis=2)
    twice = net.add("Concat", "orig_target_sizes", "orig_target_sizes", axis=1)
    sides = net.add("Unsqueeze", net.add("Cast", twice, to=TensorProto.FLOAT), np.array([1]))
    scores = net.add("Sigmoid", net.add("Flatten", net.queries(40, 1)))
    kinds = net.add("Mul", net.add("Sigmoid", net.add("Flatten", net.queries(40, 1))), np.array(80, np.float32))
    model = net.model(
        {
            "labels": net.add("Cast", kinds, to=TensorProto.INT64),
            "boxes": net.add("Mul", boxes, sides),
            "scores": scores,
        },
        {"labels": TensorProto.INT64},
    )
    return Case(model, lambda raw: Candidates(raw[1], raw[2], raw[0]), "rt-detr")


def rt_detr_alone() -> Case:
    two = rt_detr()
    return replace(two, model=without_sizes(two.model))


def ssd(height: int = 64, width: int = 96) -> Case:
    net = Net(height, width)
    corner = net.add("Mul", net.add("Sigmoid", net.queries(25, 2)), np.array(0.5, np.float32))
    size = net.add("Mul", net.add("Sigmoid", net.queries(25, 2)), np.array(0.5, np.float32))
    boxes = net.add("Concat", corner, net.add("Add", corner, size), axis=2)
    kinds = net.add("Mul", net.add("Sigmoid", net.add("Flatten", net.queries(25, 1))), np.array(90, np.float32))
    scores = net.add("Sigmoid", net.add("Flatten", net.queries(25, 1)))
    number = net.add("Flatten", net.add("Mul", net.add("Sigmoid", net.queries(1, 1)), np.array(0, np.float32)))
    number = net.add("Add", net.add("Reshape", number, np.array([-1])), np.array(20, np.float32))
    model = net.model({"boxes": boxes, "classes": net.add("Floor", kinds), "scores": scores, "count": number})

    def reference(raw: list[np.ndarray]) -> Candidates:
        return references.ssd(raw[0], raw[1], raw[2], number=20, size=(height, width))

    return Case(model, reference, "ssd")


CASES: dict[str, Callable[[], Case]] = {
    "yolox": yolox,
    "yolox-coco": partial(yolox, 96, 96, classes=80),
    "yolov5": yolov5,
    "yolov5-p6": partial(yolov5, 64, 128, strides=(8, 16, 32, 64)),
    "yolov8": yolov8,
    "yolov8-p2": partial(yolov8, 96, 64, strides=(4, 8, 16, 32)),
    "end-to-end": end_to_end,
    "yolo-nas": yolo_nas,
    "nanodet-plus": nanodet_plus,
    "nanodet-plus-2": partial(nanodet_plus, 64, 64, classes=2),
    "nanodet-g": nanodet_g,
    "rf-detr": rf_detr,
    "rt-detr": rt_detr_alone,
    "rt-detr-of-hugging-face": partial(of_hugging_face, 80, "rt-detr"),
    "rf-detr-of-hugging-face": partial(of_hugging_face, 91, "rf-detr"),
    "detr": partial(of_hugging_face, 92, "detr", queries=100),
    "detr-3": partial(of_hugging_face, 4, "detr", queries=16, stated=3),
    "ssd": ssd,
}


def require_same(case: Case, images: np.ndarray, *, most: int = 100, iou_threshold: float = 0.5) -> None:
    """The decoded graph gives the best candidates of the reference, and suppression leaves the same of both.

    With thinning, that is of three times as many candidates.
    """
    raw = run(case.model, images=images)
    found = recognised(case.model, classes=case.stated)
    candidates = run(decode(case.model, found, most=most, iou_threshold=1.0), images=images)
    thinned = run(decode(case.model, found, most=most, iou_threshold=iou_threshold), images=images)
    for index in range(len(images)):
        everything = case.reference([each[index] for each in raw])
        require_best(Candidates(*(each[index] for each in candidates)), everything.best(most))
        near = everything.best(3 * most)
        boxes, scores, classes = (each[index] for each in thinned)
        assert (np.diff(scores) <= 0).all()
        # No box below the lowest score that was given can remove one above it.
        threshold = max(float(np.median(near.scores)), float(scores[-2:].mean()))
        left = non_maximum_suppression(near, score_threshold=threshold, iou_threshold=iou_threshold)
        likely = scores >= threshold
        kept = suppress(boxes[likely], scores[likely], classes[likely], iou_threshold=iou_threshold, most=most)
        require_best(Candidates(boxes[kept], scores[kept], classes[kept]), left)


def require_best(found: Candidates, expected: Candidates) -> None:
    assert [each.dtype.name for each in found] == ["float32", "float32", "int32"]
    assert found.boxes.shape == (len(expected.scores), 4)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-7)
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.classes, expected.classes.astype(int))


def size_of(model: onnx.ModelProto) -> tuple[int, int]:
    _, _, height, width = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return height, width


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_decoder_gives_what_the_reference_gives(name: str, batch: int) -> None:
    case = CASES[name]()
    require_same(case, pictures(batch, *size_of(case.model)))


@pytest.mark.parametrize("name", CASES)
def test_a_family_is_recognised_by_its_outputs(name: str) -> None:
    case = CASES[name]()
    found = recognised(case.model, classes=case.stated)
    assert found.family.name == case.family
    assert found.family.title in str(found)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([yolox, yolov5, yolov8, nanodet_g]), st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_sizes_of_the_input_do_not_matter(make: Callable[..., Case], down: int, across: int, seed: int) -> None:
    case = make(32 * down, 32 * across)
    require_same(case, pictures(1, 32 * down, 32 * across, seed=seed), most=40)


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize("make", [yolox, yolov8])
def test_the_operator_set_of_the_graph_does_not_matter(make: Callable[..., Case], opset: int) -> None:
    case = make(opset=opset)
    require_same(case, pictures(2, *size_of(case.model)))


@pytest.mark.parametrize("name", CASES)
def test_every_size_follows_from_the_graph_and_it_can_be_cut(name: str) -> None:
    case = CASES[name]()
    whole = annotate(decoded(case.model, classes=case.stated))
    onnx.checker.check_model(whole, full_check=True)
    assert unfollowed(whole) is None
    network = require_bounded(whole)
    assert [(info.name, info.shape[0], info.dtype.name) for info in network.outputs] == [
        ("boxes", None, "float32"),
        ("scores", None, "float32"),
        ("classes", None, "int32"),
    ]
    raw = Network.from_proto(case.model)
    cuts = candidate_cuts(network, layers(network))
    assert len(cuts) >= 2  # the picture, and one behind a layer of the network itself
    assert all(known(raw, cut.tensors) for cut in cuts)  # none inside the decoder


def known(network: Network, names: tuple[str, ...]) -> bool:
    return all(name in network.graph.producer or name in network.graph.inputs for name in names)


def test_fewer_boxes_can_be_asked_for() -> None:
    case = yolox()
    boxes, scores, classes = run(decoded(case.model, most=5), images=pictures(2, 64, 96))
    assert (boxes.shape, scores.shape, classes.shape) == ((2, 5, 4), (2, 5), (2, 5))
