"""SSD and EfficientDet as TensorFlow exports them, with their own suppression: boxes relative to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from collabd.catalog.authoring.detect.family import NO_SUPPRESSION, Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable

# The names of TensorFlow's object detection API, whose classes are numbered from 1.
_BOXES, _CLASSES, _SCORES, _COUNT = "detection_boxes", "detection_classes", "detection_scores", "num_detections"
# COCO's category numbers go to 90. TensorFlow Lite counts from 0.
_CLASSES_FROM_0, _CLASSES_FROM_1 = 90, 91


@dataclass(frozen=True, kw_only=True)
class SsdDecoder:
    """`boxes` has rows of top, left, bottom, right in 0..1; `kinds` and `scores` are [batch, rows].

    `number` says how many of the rows are detections. What is behind them does not count.
    """

    boxes: RowTable
    kinds: str
    scores: str
    number: str
    heads: Heads
    classes: int
    said: str = "boxes relative to the picture, chosen by its graph"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose the rows with the best scores."""
        count = min(most, self.boxes.rows)
        number = writer.add("Reshape", writer.add("Cast", self.number, to=TensorProto.FLOAT), np.array([-1, 1]))
        counts = writer.add("Less", np.arange(self.boxes.rows, dtype=np.float32), number)
        valid = writer.add("Where", counts, self.scores, np.array(0, np.float32))
        scores, rows = writer.best(valid, count)
        kinds = writer.add("GatherElements", self.kinds, rows, axis=1)
        corners = writer.columns(self.boxes.taken(writer, rows, count).tensor, 1, 0, 3, 2)
        sides = np.array([self.heads.width, self.heads.height] * 2, np.float32)
        return Boxes(writer.add("Mul", corners, sides), scores, kinds, count)


def _fit(heads: Heads) -> Decoder | None:
    named = {_BOXES, _CLASSES, _SCORES, _COUNT} <= heads.outputs.keys()
    names = [_BOXES, _CLASSES, _SCORES, _COUNT] if named else list(heads.outputs)
    if len(names) != 4 or len(shape := heads.shape(names[0])) != 3 or shape[2] != 4:
        return None
    rows = shape[1]
    if [heads.shape(name) for name in names[1:3]] != [(1, rows)] * 2 or heads.outputs[names[3]].size != 1:
        return None
    return SsdDecoder(
        boxes=RowTable(tensor=names[0], rows=rows, width=4),
        kinds=names[1],
        scores=names[2],
        number=names[3],
        heads=heads,
        classes=heads.classes or (_CLASSES_FROM_1 if named else _CLASSES_FROM_0),
    )


def _expects(_: Heads) -> str:
    return (
        f"the outputs {_BOXES} [batch, n, 4], {_CLASSES} [batch, n], {_SCORES} [batch, n] and {_COUNT} [batch], or "
        "four such outputs of other names in this order"
    )


SSD = Family(
    name="ssd",
    title="SSD or EfficientDet of TensorFlow",
    preset=Preset(score_threshold=0.4, iou_threshold=NO_SUPPRESSION, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    expects=_expects,
    fit=_fit,
)
