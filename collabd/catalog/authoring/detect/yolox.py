"""YOLOX (Megvii, Apache-2.0): a centre and a size for each cell, relative to it, an objectness, and classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabd.catalog.authoring.detect import cells
from collabd.catalog.authoring.detect.family import Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable, best_class_of_each
from collabd.catalog.authoring.detect.yolov5 import YoloV5Decoder, rows_of_boxes


@dataclass(frozen=True, kw_only=True)
class YoloXDecoder:
    """Of raw outputs: `table` has rows of x and y from the cell's corner in strides, the logarithm of width and height
    in strides, objectness, classes.
    """

    table: RowTable
    heads: Heads
    classes: int
    said: str = "boxes relative to the cells at strides 8, 16 and 32"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose each cell's best class, as the reference does."""
        scores = self.table.part(writer, 5, self.table.width)
        chosen = best_class_of_each(writer, scores, objectness=self.table.part(writer, 4, 5), most=most)
        raw = self.table.taken(writer, chosen.rows, chosen.count).part(writer, 0, 4).tensor
        grid = cells.cells(self.heads.height, self.heads.width, cells.THREE)
        corner = writer.add("Gather", grid[:, [0, 1, 0, 1]], chosen.rows, axis=0)
        stride = writer.add("Gather", grid[:, [2]], chosen.rows, axis=0)
        half = np.array([-0.5, -0.5, 0.5, 0.5], np.float32)
        centre = writer.add("Add", writer.columns(raw, 0, 1, 0, 1), corner)
        away = writer.add("Mul", writer.add("Exp", writer.columns(raw, 2, 3, 2, 3)), half)
        boxes = writer.add("Mul", writer.add("Add", centre, away), stride)
        return Boxes(boxes, chosen.scores, chosen.classes, chosen.count)


def _fit(heads: Heads) -> Decoder | None:
    table = rows_of_boxes(heads, per_cell=1, among=[cells.THREE])
    if table is None:
        return None
    classes = table.width - 5
    if heads.exps or (heads.outputs[table.tensor][..., 4] == 1).all():
        return YoloV5Decoder(table=table, classes=classes, said="boxes that its graph has already brought to pixels")
    return YoloXDecoder(table=table, heads=heads, classes=classes)


def _expects(heads: Heads) -> str:
    return f"one output [batch, {cells.count(heads.height, heads.width, cells.THREE)}, 5 + classes]"


YOLOX = Family(
    name="yolox",
    title="YOLOX",
    preset=Preset(
        score_threshold=0.3,
        iou_threshold=0.45,
        rule="letterbox_top_left",
        order="bgr",
        std=(1 / 255, 1 / 255, 1 / 255),
    ),
    expects=_expects,
    fit=_fit,
)
