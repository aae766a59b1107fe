"""Two outputs, one of boxes and one of classes, with as many rows."""

from __future__ import annotations

from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable


def boxes_and_classes(heads: Heads) -> tuple[RowTable, RowTable] | None:
    """Boxes [batch, rows, 4] and classes [batch, rows, n]; None if those are not the two outputs of three axes.

    With four classes, the boxes are the first of the two.
    """
    flat = [name for name, value in heads.outputs.items() if value.ndim == 3]
    if len(flat) != 2:
        return None
    boxes, scores = sorted(flat, key=lambda name: heads.shape(name)[2] != 4)
    (_, rows, width), (_, other, classes) = heads.shape(boxes), heads.shape(scores)
    if width != 4 or rows != other:
        return None
    return RowTable(tensor=boxes, rows=rows, width=4), RowTable(tensor=scores, rows=rows, width=classes)
