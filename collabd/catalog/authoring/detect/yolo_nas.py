"""YOLO-NAS without its suppression: boxes in pixels and classes for each cell, in two outputs."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.authoring.detect import cells
from collabd.catalog.authoring.detect.family import Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.pairs import boxes_and_classes
from collabd.catalog.authoring.detect.selection import RowTable, best_of_all_classes


@dataclass(frozen=True, kw_only=True)
class YoloNasDecoder:
    """`boxes` has rows of x1, y1, x2, y2 in pixels, `scores` of classes."""

    boxes: RowTable
    scores: RowTable
    classes: int
    said: str = "boxes in pixels, one for each cell"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose the best pairs of a cell and a class, as the reference does."""
        chosen = best_of_all_classes(writer, self.scores, most=most)
        boxes = self.boxes.taken(writer, chosen.rows, chosen.count).tensor
        return Boxes(boxes, chosen.scores, chosen.classes, chosen.count)


def _fit(heads: Heads) -> Decoder | None:
    found = boxes_and_classes(heads)
    if found is None:
        return None
    boxes, scores = found
    if not cells.fitting(boxes.rows, height=heads.height, width=heads.width, among=[cells.THREE]):
        return None
    return YoloNasDecoder(boxes=boxes, scores=scores, classes=scores.width)


def _expects(heads: Heads) -> str:
    rows = cells.count(heads.height, heads.width, cells.THREE)
    return f"two outputs, [batch, {rows}, 4] and [batch, {rows}, classes]"


YOLO_NAS = Family(
    name="yolo-nas",
    title="YOLO-NAS",
    preset=Preset(score_threshold=0.25, iou_threshold=0.7, rule="letterbox"),
    expects=_expects,
    fit=_fit,
)
