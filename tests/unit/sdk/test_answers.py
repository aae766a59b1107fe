"""What detectors, segmenters and networks of tensors answer: on the wire, to a client, and as text."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collab_sdk import (
    Client,
    Detection,
    Detections,
    InvalidTensor,
    MockTransport,
    ProtocolError,
    Result,
    Segmentation,
    TaskKind,
    WrongTask,
    wire,
)
from collab_sdk.image import _MAX_PIL_PIXELS
from collab_sdk.mock import mock_detections, mock_mask, mock_outputs, mock_result
from collab_sdk.result import encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest
from collab_sdk.wire import Tensor
from tests.unit.sdk.conftest import ScriptedDaemon, as_json, inference, is_inference, sent_on

BOXES = np.array([[2, 0, 443, 296], [10.5, 20, 30, 60], [0, 0, 5, 5]], np.float32)
SCORES = np.array([0.75, 0.5, 0.25], np.float32)
CLASSES = np.array([2, 0, 2], np.int32)
NAMES = ["person", "dog", "cat"]
CAT = mock_detections(
    [("cat", 0.75, (2, 0, 443, 296)), ("person", 0.5, (10.5, 20, 30, 60)), ("cat", 0.25, (0, 0, 5, 5))],
    (451, 300),
    labels=NAMES,
)
PARTS = np.array([[0, 0, 2, 2, 2, 2, 1, 0]], np.uint8)


def daemon_of(task: str, outputs: dict[str, NDArray[Any]], **metadata: Any) -> ScriptedDaemon:
    """A daemon as the protocol describes it, which owes nothing to how the SDK encodes a result."""
    said = encode_result(mock_result({"x": 1.0})).parameters | {
        "task": task,
        "image_width": 451,
        "image_height": 300,
    }

    def script(request: DaemonRequest) -> DaemonReply:
        if not is_inference(request):
            return as_json({"name": "net", "parameters": {"digest": said["digest"], "labels": NAMES} | metadata})
        tensors = [Tensor.from_array(name, array) for name, array in outputs.items()]
        message = wire.encode_response(wire.InferResponse("net", "1", tensors, parameters=said), binary=True)
        return DaemonReply(200, message.body(), message.headers)

    return ScriptedDaemon(script)


def asked_of(task: str, outputs: dict[str, NDArray[Any]], **metadata: Any) -> Result:
    return Client(transport=daemon_of(task, outputs, **metadata)).infer(b"a JPEG")


def test_what_a_detector_found() -> None:
    result = asked_of("detect", {"boxes": BOXES, "scores": SCORES, "classes": CLASSES}, palette=[[1, 2, 3]])
    found = result.detections

    assert (result.task, result.image_width, result.image_height) == (TaskKind.DETECT, 451, 300)
    np.testing.assert_array_equal(found.xyxy, BOXES)
    assert [array.dtype.name for array in (found.xyxy, found.confidence, found.class_id)] == ["float32"] * 2 + ["int64"]
    assert found.confidence.tolist() == SCORES.tolist()
    assert found.class_id.tolist() == [2, 0, 2]
    assert found.class_name == ("cat", "person", "cat")
    assert (found.labels, found.palette) == (tuple(NAMES), ((1, 2, 3),))
    assert found.xyxy.flags.writeable
    assert result.labels == tuple(NAMES)


def test_detections_are_a_sequence_of_objects() -> None:
    found = CAT.detections
    assert len(found) == len([*found]) == 3
    assert found[1] == found[-2] == [*found][1] == Detection("person", 0, 0.5, (10.5, 20.0, 30.0, 60.0))
    for picked in (found[found.confidence >= 0.5], found[:2], found[np.array([0, 1])]):
        assert isinstance(picked, Detections)
        assert picked.class_name == ("cat", "person")
        np.testing.assert_array_equal(picked.xyxy, BOXES[:2])
    with pytest.raises(IndexError):
        found[3]


def test_nothing_found() -> None:
    none = {"boxes": BOXES[:0], "scores": SCORES[:0], "classes": CLASSES[:0]}
    result = asked_of("detect", none)
    assert (len(result.detections), [*result.detections], result.detections.class_name) == (0, [], ())
    assert str(result).startswith("nothing found · ")


def test_the_class_of_each_pixel() -> None:
    result = asked_of("segment", {"mask": PARTS}, labels=["background", "road", "car"])
    np.testing.assert_array_equal(result.mask, PARTS)
    assert result.mask.dtype == np.uint8
    assert result.shares() == [("car", 0.5), ("background", 0.375), ("road", 0.125)]
    assert str(result).startswith("car 50 %, road 12 % · ")


def test_a_mask_of_one_class_is_bool() -> None:
    result = asked_of("segment", {"mask": np.array([[0, 1], [0, 0]], np.uint8)}, labels=["person"])
    assert result.mask.dtype == np.bool_
    assert result.mask.tolist() == [[False, True], [False, False]]
    assert result.shares() == [("person", 0.25)]
    assert str(asked_of("segment", {"mask": np.zeros((1, 1), np.uint8)}, labels=["person"])).startswith("person 0 % ")


def test_outputs_by_their_names() -> None:
    outputs: dict[str, NDArray[Any]] = {"left": np.ones((1, 2), np.float16), "right": np.zeros(3, np.int64)}
    result = asked_of("tensors", outputs)
    assert result.outputs.keys() == outputs.keys()
    for name, array in outputs.items():
        np.testing.assert_array_equal(result.outputs[name], array)
        assert result.outputs[name].dtype == array.dtype
    assert str(result).startswith("left float16 [1, 2], right int64 [3] · ")


def test_nobody_asks_for_names_that_outputs_do_not_need() -> None:
    daemon = daemon_of("tensors", {"y": SCORES})
    Client(transport=daemon).infer({"x": SCORES})
    assert daemon.paths() == ["POST /v2/models/_default/infer"]


def test_any_task_has_raw_outputs() -> None:
    daemon = daemon_of("detect", {"boxes": np.zeros((1, 100, 4), np.float32)})
    result = Client(transport=daemon).infer(b"a JPEG", raw=True)
    assert inference(daemon.requests[0]).parameters == {"binary_data_output": True, "raw": True}
    assert result.outputs["boxes"].shape == (1, 100, 4)
    with pytest.raises(WrongTask, match=r"raw outputs .*read \.outputs, not \.detections; without raw=True"):
        _ = result.detections


def test_the_task_of_a_newer_daemon_has_outputs() -> None:
    result = asked_of("pose", {"points": BOXES})
    assert (result.task, list(result.outputs)) == ("pose", ["points"])


READERS: dict[str, Callable[[Result], Any]] = {
    "label": lambda result: result.label,
    "score": lambda result: result.score,
    "scores": lambda result: result.scores,
    "top()": lambda result: result.top(1),
    "detections": lambda result: result.detections,
    "dict()": lambda result: result.dict(),
    "mask": lambda result: result.mask,
    "shares()": lambda result: result.shares(),
    "outputs": lambda result: result.outputs,
    "labels": lambda result: result.labels,
    "draw()": lambda result: result.draw(np.zeros((300, 451, 3), np.uint8)),
}
HAS: dict[str, tuple[Result, set[str], str]] = {
    "classify": (mock_result({"a": 1.0}), {"label", "score", "scores", "top()", "labels", "draw()"}, "a classifier's"),
    "detect": (CAT, {"detections", "dict()", "labels", "draw()"}, r"a detector's answer .*read \.detections"),
    "segment": (mock_mask(np.zeros((300, 451), np.bool_), ["a"]), {"mask", "shares()", "labels", "draw()"}, r"\.mask"),
    "tensors": (mock_outputs({"y": SCORES}), {"outputs"}, r"raw outputs .*read \.outputs"),
}


@pytest.mark.parametrize("task", HAS)
def test_what_an_answer_does_not_have_is_said_with_what_it_has(task: str) -> None:
    result, has, says = HAS[task]
    for name, read in READERS.items():
        if name in has:
            read(result)
        else:
            with pytest.raises(WrongTask, match=says) as refused:
                read(result)
            assert f"not .{name}" in str(refused.value)
            assert refused.value.details == {"task": task}


@pytest.mark.parametrize("task", HAS)
def test_a_copy_of_an_answer_is_whole_whatever_its_task(task: str) -> None:
    result = Client(transport=MockTransport.answering(HAS[task][0])).infer(b"a JPEG")
    for copied in (copy.deepcopy(result), sent_on(result)):
        assert str(copied) == str(result)
        assert type(copied.answer) is type(result.answer)


@pytest.mark.parametrize(
    ("task", "outputs", "names"),
    [
        ("detect", {"boxes": BOXES, "scores": SCORES}, NAMES),
        ("detect", {"boxes": BOXES, "scores": SCORES[:2], "classes": CLASSES}, NAMES),
        ("detect", {"boxes": BOXES[:, :3], "scores": SCORES, "classes": CLASSES}, NAMES),
        ("detect", {"boxes": BOXES, "scores": SCORES, "classes": CLASSES.astype(np.int64)}, NAMES),
        ("detect", {"boxes": BOXES, "scores": SCORES, "classes": CLASSES + 1}, NAMES),
        ("detect", {"boxes": BOXES, "scores": SCORES, "classes": CLASSES - 1}, NAMES),
        ("detect", {"boxes": BOXES * np.float32("nan"), "scores": SCORES, "classes": CLASSES}, NAMES),
        ("segment", {"scores": SCORES}, NAMES),
        ("segment", {"mask": PARTS + 1}, NAMES),
        ("segment", {"mask": PARTS}, ["one"]),
        ("segment", {"mask": PARTS[0]}, NAMES),
        ("segment", {"mask": PARTS.astype(np.int32)}, NAMES),
        ("classify", {"scores": SCORES.reshape(1, 3), "more": SCORES}, NAMES[:2]),
    ],
)
def test_outputs_that_do_not_fit_the_task_are_a_protocol_error(
    task: str, outputs: dict[str, NDArray[Any]], names: list[str]
) -> None:
    with pytest.raises(ProtocolError, match="cannot read the daemon's answer"):
        asked_of(task, outputs, labels=names)


@pytest.mark.parametrize("palette", ["red", [1, 2], [[1, 2]], [[1, 2, 256]], [[1, 2, "3"]], [[1, 2, 3.5]]])
def test_a_palette_that_is_none_is_a_protocol_error(palette: Any) -> None:
    with pytest.raises(ProtocolError, match="palette"):
        asked_of("segment", {"mask": PARTS}, palette=palette)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CAT, "cat 0.75 at 2,0 441x296; 2 more · 10 ms, all on the device"),
        (mock_detections([("cat", 0.5, (1, 2, 3, 5))]), "cat 0.50 at 1,2 2x3 · 10 ms, all on the device"),
        (
            mock_mask(np.arange(6, dtype=np.uint8).reshape(2, 3), "abcdef"),
            "a 17 %, b 17 %, c 17 %, 3 others · 10 ms, all on the device",
        ),
        (mock_mask(np.zeros((2, 3), np.uint8), ["background", "a"]), "background 100 % · 10 ms, all on the device"),
        (
            mock_outputs({name: np.zeros(1, np.uint8) for name in "abcd"}),
            "a uint8 [1], b uint8 [1], c uint8 [1], 1 other · 10 ms, all on the device",
        ),
    ],
)
def test_as_text_an_answer_leads_and_fits_a_terminal(result: Result, said: str) -> None:
    assert str(result) == said
    assert len(said) <= 80


@pytest.mark.parametrize(
    "result", [CAT, mock_mask(PARTS, NAMES), mock_mask(PARTS > 0, ["x"]), mock_outputs({"y": SCORES})]
)
def test_a_mocked_answer_arrives_as_it_was_made(result: Result) -> None:
    got = Client(transport=MockTransport.answering(result)).infer(b"a JPEG")
    assert (got.task, got.image_width, got.image_height) == (result.task, result.image_width, result.image_height)
    sent, came = result.answer.on_wire(), got.answer.on_wire()
    assert sent.keys() == came.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(came[name], array)
        assert came[name].dtype == array.dtype


def test_mocked_models_of_other_classes_are_told_apart() -> None:
    others = mock_detections([("cup", 0.5, (0, 0, 1, 1))])
    client = Client(transport=MockTransport.answering(CAT, others, mock_mask(PARTS, NAMES)))
    assert client.infer(b"a JPEG").detections[0].class_name == "cat"
    assert client.infer(b"a JPEG").detections[0].class_name == "cup"
    assert isinstance(client.infer(b"a JPEG").answer, Segmentation)


DTYPES = ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">f4", ">i2"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_travel_by_name_in_every_dtype(dtype: str) -> None:
    transport = MockTransport.answering(mock_outputs({"y": SCORES}))
    values = np.arange(12).reshape(3, 4).astype(dtype)
    tensors = {"a": values, "turned": values.T, "none": values[:0]}
    result = Client(transport=transport).infer(tensors, "80ms", model="net")
    (call,) = transport.calls
    assert (call.image, call.model, str(call.budget)) == (None, "net", "80ms")
    assert call.tensors.keys() == tensors.keys()
    for name, sent in tensors.items():
        np.testing.assert_array_equal(call.tensors[name], sent)
        assert call.tensors[name].dtype == sent.dtype.newbyteorder("<")
    np.testing.assert_array_equal(result.outputs["y"], SCORES)


def test_an_image_by_name_is_an_image() -> None:
    transport = MockTransport.answering(CAT)
    frame = np.zeros((2, 2, 3), np.uint8)
    Client(transport=transport).infer({"image": frame})
    np.testing.assert_array_equal(transport.calls[0].image, frame)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "there is no tensor"),
        ({"x": [1.0, 2.0]}, "the tensor 'x' is a list: give numpy arrays"),
        ({3: SCORES}, "the tensor 3 is a ndarray: give numpy arrays by the names"),
        ({"": SCORES}, "by the names of the inputs"),
        ({"x": np.array(["text"])}, "the tensor 'x': the protocol has no datatype for dtype <U4"),
        ({"x": np.zeros(1, np.complex64)}, "no datatype for dtype complex64"),
    ],
)
def test_tensors_that_are_none_are_refused_before_they_travel(tensors: Any, says: str) -> None:
    transport = MockTransport.answering(CAT)
    with pytest.raises(InvalidTensor, match=says):
        Client(transport=transport).infer(tensors)
    assert transport.requests == []


def test_a_large_pillow_picture_is_answered_in_its_own_pixels() -> None:
    wide = Image.new("L", (8192, 4096))
    assert wide.width * wide.height > _MAX_PIL_PIXELS
    transport = MockTransport.answering(
        mock_detections([("cat", 0.5, (1024, 512, 2048, 2048))], (4096, 2048)),
        mock_mask(np.repeat(np.array([[0, 1]], np.uint8), 2048, axis=1).repeat(2048, axis=0), NAMES),
    )
    client = Client(transport=transport)
    found, shown = client.infer(wide), client.infer(wide)

    image = transport.calls[0].image
    assert isinstance(image, np.ndarray)
    assert image.shape == (2048, 4096, 3)
    assert found.detections[0].xyxy == (2048, 1024, 4096, 4096)
    assert found.dict()["image"] == {"width": 8192, "height": 4096}
    assert (shown.mask.shape, shown.image_width, shown.image_height) == ((4096, 8192), 8192, 4096)
    np.testing.assert_array_equal(shown.mask, np.arange(8192) // 4096 * np.ones((4096, 1), int))


def test_a_large_pillow_picture_that_lies_on_its_side() -> None:
    picture = Image.new("L", (8192, 4096))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.info["exif"] = exif.tobytes()
    found = Client(transport=MockTransport.answering(mock_detections([("cat", 0.5, (0, 0, 2048, 4096))]))).infer(
        picture
    )
    assert (found.image_width, found.image_height) == (4096, 8192)
    assert found.detections[0].xyxy == (0, 0, 4096, 8192)


def test_the_form_of_roboflows_servers() -> None:
    assert CAT.dict(exclude_none=True, by_alias=True)["predictions"][1] == {
        "x": 20.25,
        "y": 40.0,
        "width": 19.5,
        "height": 40.0,
        "confidence": 0.5,
        "class": "person",
        "class_id": 0,
    }
    json.dumps(CAT.dict())


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_supervision_takes_and_draws_a_result_as_it_is() -> None:
    import supervision as sv

    result = Client(transport=MockTransport.answering(CAT)).infer(b"a JPEG")
    found = sv.Detections.from_inference(result)
    np.testing.assert_allclose(found.xyxy, BOXES, atol=1e-4)
    np.testing.assert_allclose(found.confidence, SCORES)
    assert found.class_id.tolist() == CLASSES.tolist()
    assert found.data["class_name"].tolist() == ["cat", "person", "cat"]

    scene = np.zeros((300, 451, 3), np.uint8)
    drawn = sv.BoxAnnotator(thickness=2).annotate(scene.copy(), found)
    assert drawn[150, 2:4].any()
    assert not drawn[150, 200].any()
    assert len(sv.Detections.from_inference(mock_detections([]))) == 0
