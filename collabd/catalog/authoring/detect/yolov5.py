"""The shape of YOLOv5 and v7: boxes in pixels, an objectness, and classes, for three anchors in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collabd.catalog.authoring.detect import cells
from collabd.catalog.authoring.detect.family import Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable, best_class_of_each, corners

_ANCHORS = 3
_STRIDES = [cells.THREE, cells.FOUR]


@dataclass(frozen=True, kw_only=True)
class YoloV5Decoder:
    """`table` has rows of centre x and y, width and height, in pixels, objectness, classes."""

    table: RowTable
    classes: int
    said: str = "boxes in pixels, three for each cell"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose each row's best class, as the reference does."""
        scores = self.table.part(writer, 5, self.table.width)
        chosen = best_class_of_each(writer, scores, objectness=self.table.part(writer, 4, 5), most=most)
        centred = self.table.taken(writer, chosen.rows, chosen.count).part(writer, 0, 4).tensor
        return Boxes(corners(writer, centred), chosen.scores, chosen.classes, chosen.count)


def rows_of_boxes(heads: Heads, *, per_cell: int, among: Sequence[Sequence[int]]) -> RowTable | None:
    """The one output [batch, rows, 5 + classes], with `per_cell` rows for each cell at strides `among` those.

    Outputs of five axes, which older exports have beside it, do not count.
    """
    flat = [name for name, value in heads.outputs.items() if value.ndim < 5]
    if len(flat) != 1 or len(shape := heads.shape(flat[0])) != 3 or shape[2] < 6:
        return None
    number, rest = divmod(shape[1], per_cell)
    if rest or not cells.fitting(number, height=heads.height, width=heads.width, among=among):
        return None
    return RowTable(tensor=flat[0], rows=shape[1], width=shape[2])


def _fit(heads: Heads) -> Decoder | None:
    table = rows_of_boxes(heads, per_cell=_ANCHORS, among=_STRIDES)
    return None if table is None else YoloV5Decoder(table=table, classes=table.width - 5)


def _expects(heads: Heads) -> str:
    three, four = (_ANCHORS * cells.count(heads.height, heads.width, strides) for strides in _STRIDES)
    return f"one output [batch, {three} or {four}, 5 + classes]"


YOLOV5 = Family(
    name="yolov5",
    title="YOLOv5 or YOLOv7",
    preset=Preset(score_threshold=0.25, iou_threshold=0.45, rule="letterbox"),
    expects=_expects,
    fit=_fit,
)
