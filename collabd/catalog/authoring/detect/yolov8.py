"""The shape of YOLOv8, v9, 11 and 12: boxes in pixels and classes for each cell, without objectness, cells last."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.authoring.detect import cells
from collabd.catalog.authoring.detect.family import Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable, best_class_of_each, corners

_STRIDES = [cells.THREE, cells.FOUR, cells.FINE]


@dataclass(frozen=True, kw_only=True)
class YoloV8Decoder:
    """`table` has rows of centre x and y, width and height, in pixels, and classes."""

    table: RowTable
    classes: int
    said: str = "boxes in pixels, one for each cell"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose each cell's best class, as the reference does."""
        chosen = best_class_of_each(writer, self.table.part(writer, 4, self.table.width), most=most)
        centred = self.table.part(writer, 0, 4).taken(writer, chosen.rows, chosen.count).tensor
        return Boxes(corners(writer, centred), chosen.scores, chosen.classes, chosen.count)


def _fit(heads: Heads) -> Decoder | None:
    if len(heads.outputs) != 1:
        return None
    (name,) = heads.outputs
    shape = heads.shape(name)
    if len(shape) != 3 or shape[1] < 5:
        return None
    if not cells.fitting(shape[2], height=heads.height, width=heads.width, among=_STRIDES):
        return None
    return YoloV8Decoder(table=RowTable(tensor=name, rows=shape[2], width=shape[1], axis=2), classes=shape[1] - 4)


def _expects(heads: Heads) -> str:
    counts = " or ".join(str(cells.count(heads.height, heads.width, strides)) for strides in _STRIDES)
    return f"one output [batch, 4 + classes, {counts}]"


YOLOV8 = Family(
    name="yolov8",
    title="YOLOv8, YOLOv9, YOLO11 or YOLO12",
    preset=Preset(score_threshold=0.25, iou_threshold=0.7, rule="letterbox"),
    expects=_expects,
    fit=_fit,
)
