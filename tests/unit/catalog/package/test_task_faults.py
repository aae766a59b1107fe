"""What each task wants of a network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collabd.catalog.package.faults import inconsistencies
from collabd.catalog.package.manifest import (
    Classify,
    CodecFigures,
    Cut,
    Detect,
    Layer,
    Manifest,
    Picture,
    Port,
    Segment,
    Tensors,
)

replace = msgspec.structs.replace
IMAGE = Port("image", "uint8", (None, 8, 6, 3))
BOXES, SCORES = Port("boxes", "float32", (None, 20, 4)), Port("scores", "float32", (None, 20))
CLASSES = Port("classes", "int32", (None, 20))
MAP = Port("map", "uint8", (None, 4, 3))
TWO = ("cat", "dog")
U8, F32 = (CodecFigures(codec=codec, channel_axis=None, bytes_median=9, bytes_p95=9) for codec in ("u8", "f32"))


def manifest(task: Any, *outputs: Port, **changes: Any) -> Manifest:
    names = tuple(port.name for port in outputs)
    base = Manifest(
        name="net",
        task=task,
        picture=Picture(height=8, width=6),
        inputs=(IMAGE,),
        outputs=outputs,
        dynamic_batch=True,
        layers=(
            Layer(name="conv", op="Conv", tensors=("x",), macs=1),
            # In the order in which they came to be.
            Layer(name="last", op="TopK", tensors=names[::-1], macs=0),
        ),
        cuts=(
            Cut(name="image", head_layers=0, tensors=("image",), codecs=(U8,)),
            Cut(name="conv", head_layers=1, tensors=("x",), codecs=(F32,)),
        ),
        licence="none",
        provenance="a test",
    )
    return replace(base, **changes)


def test_sound_ones_have_no_faults() -> None:
    assert inconsistencies(manifest(Detect(classes=TWO), BOXES, SCORES, CLASSES)) == []
    assert inconsistencies(manifest(Segment(classes=TWO), MAP)) == []
    assert inconsistencies(manifest(Segment(classes=TWO, palette=((0, 0, 0), (255, 9, 0))), MAP)) == []
    assert inconsistencies(manifest(Tensors(), MAP, BOXES)) == []
    assert inconsistencies(manifest(Classify(labels=TWO), Port("y", "float32", (None, 2)))) == []
    two = (Port("a", "float64", (None, 3)), Port("b", "bool", (None,)))
    cuts = (Cut(name="inputs", head_layers=0, tensors=("a", "b"), codecs=(F32,)),)
    assert inconsistencies(manifest(Tensors(), MAP, picture=None, inputs=two, cuts=cuts)) == []


def test_a_network_of_one_item_fixes_all_sizes() -> None:
    fixed = [replace(port, shape=(1, *port.shape[1:])) for port in (BOXES, SCORES, CLASSES)]
    one = {"inputs": (replace(IMAGE, shape=(1, 8, 6, 3)),), "dynamic_batch": False}
    assert inconsistencies(manifest(Detect(classes=TWO), *fixed, **one)) == []
    (fault,) = inconsistencies(manifest(Tensors(), MAP, **one))
    assert fault.startswith("the output map uint8 [batch, 4, 3] does not fit dynamic_batch false")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (manifest(Detect(classes=()), BOXES, SCORES, CLASSES), "there are no classes"),
        (manifest(Detect(classes=TWO, score_threshold=1.5), BOXES, SCORES, CLASSES), "score_threshold 1.5 is not"),
        (manifest(Detect(classes=TWO, iou_threshold=float("nan")), BOXES, SCORES, CLASSES), "iou_threshold nan is not"),
        (manifest(Detect(classes=TWO, most=0), BOXES, SCORES, CLASSES), "most 0 is not"),
        (
            manifest(Detect(classes=TWO), SCORES, BOXES, CLASSES),
            "scores and classes: float32 [batch, 20, 4], float32 [batch, 20], int32 [batch, 20]; the package has",
        ),
        (manifest(Detect(classes=TWO), SCORES, BOXES), "; the package has scores float32 [batch, 20], boxes float32 "),
        (manifest(Detect(classes=TWO), BOXES, SCORES), "; the package has boxes float32 [batch, 20, 4], scores"),
        (
            manifest(Detect(classes=TWO), BOXES, SCORES, replace(CLASSES, dtype="int64")),
            "int32 [batch, 20]; the package has",
        ),
        (
            manifest(Detect(classes=TWO), BOXES, replace(SCORES, shape=(None, 21)), CLASSES),
            "float32 [batch, 20], int32 [batch, 20]; the package has",
        ),
        (
            manifest(Detect(classes=TWO), Port("all", "float32", (None,)), SCORES, CLASSES),
            "float32 [batch, any, 4], float32 [batch, any], int32 [batch, any]; the package has all float32 [batch]",
        ),
        (
            manifest(Segment(classes=TWO), replace(MAP, dtype="float32")),
            "segment gives a class map: uint8 [batch, 4, 3]; the package has map float32 [batch, 4, 3]",
        ),
        (
            manifest(Segment(classes=TWO), replace(MAP, shape=(None, 2, 4, 3))),
            "uint8 [batch, 2, 4]; the package has map uint8 [batch, 2, 4, 3]",
        ),
        (manifest(Segment(classes=TWO), MAP, SCORES), "segment gives a class map"),
        (manifest(Segment(classes=("x",) * 256), MAP), "there are 256 classes, but a class map tells only 255 apart"),
        (manifest(Segment(classes=TWO, palette=((0, 0, 0),)), MAP), "the palette has 1 colours for 2 classes"),
        (manifest(Segment(classes=TWO, palette=((0, 0, 256),) * 2), MAP), "a colour of the palette is not within"),
        (manifest(Segment(classes=TWO), MAP, picture=None), "segment needs a picture"),
        (
            manifest(Segment(classes=TWO), MAP, picture=Picture(height=8, width=6, rule="crop", resize_shorter=8)),
            "but the rule crop keeps some from the network",
        ),
        (manifest(Tensors(), MAP, inputs=(IMAGE, SCORES)), "tensors of a picture reads uint8 [batch, 8, 6, 3]; the"),
    ],
)
def test_what_does_not_fit_is_told_with_both_sides(wrong: Manifest, told: str) -> None:
    assert any(told in fault for fault in inconsistencies(wrong)), inconsistencies(wrong)


def test_the_kind_is_what_the_file_says() -> None:
    sound = manifest(Detect(classes=TWO), BOXES, SCORES, CLASSES)
    written = msgspec.json.encode(sound)
    assert msgspec.json.decode(written)["task"]["kind"] == "detect"
    assert msgspec.json.decode(written, type=Manifest) == sound
    with pytest.raises(msgspec.ValidationError, match="guess"):
        msgspec.json.decode(written.replace(b'"detect"', b'"guess"'), type=Manifest)
    with pytest.raises(msgspec.ValidationError, match="format"):
        msgspec.json.decode(written.replace(b'"format":4', b'"format":3'), type=Manifest)
