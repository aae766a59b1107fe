"""The shape of YOLOv10, YOLO26 and other exports that choose in the graph: rows of a box, a score and a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabd.catalog.authoring.detect.family import NO_SUPPRESSION, Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable

_MOST_ROWS = 1000
# Its shape does not say how many classes there are.
_CLASSES = 80


@dataclass(frozen=True, kw_only=True)
class YoloEndToEndDecoder:
    """`table` has rows of x1, y1, x2, y2 in pixels, score, class."""

    table: RowTable
    classes: int
    said: str = "boxes in pixels, chosen by its graph"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose the rows with the best scores."""
        count = min(most, self.table.rows)
        scores = writer.add("Flatten", self.table.part(writer, 4, 5).tensor, axis=1)
        found, rows = writer.best(scores, count)
        best = self.table.taken(writer, rows, count)
        kinds = writer.add("Flatten", best.part(writer, 5, 6).tensor, axis=1)
        return Boxes(best.part(writer, 0, 4).tensor, found, kinds, count)


def _fit(heads: Heads) -> Decoder | None:
    if len(heads.outputs) != 1:
        return None
    (name,) = heads.outputs
    shape = heads.shape(name)
    if len(shape) != 3 or shape[2] != 6 or shape[1] > _MOST_ROWS:
        return None
    return YoloEndToEndDecoder(table=RowTable(tensor=name, rows=shape[1], width=6), classes=heads.classes or _CLASSES)


def _telling(heads: Heads) -> bool:
    """Whether the rows hold scores and whole numbers where they should, since other networks have rows of 6 as well."""
    (rows,) = heads.outputs.values()
    scores, kinds = rows[..., 4], rows[..., 5]
    return bool(((scores >= 0) & (scores <= 1) & (kinds >= 0) & (kinds == np.floor(kinds))).all())


def _expects(_: Heads) -> str:
    return f"one output [batch, at most {_MOST_ROWS}, 6]"


YOLO_END_TO_END = Family(
    name="yolo-end2end",
    title="YOLOv10, YOLO26 or another YOLO that chooses in the graph",
    preset=Preset(score_threshold=0.25, iou_threshold=NO_SUPPRESSION, rule="letterbox"),
    expects=_expects,
    fit=_fit,
    telling=_telling,
)
