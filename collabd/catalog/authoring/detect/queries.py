"""A box relative to the picture, and a row of logits, for each query: what the DETR family gives before any choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabd.catalog.authoring.detect.family import Boxes
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.pairs import boxes_and_classes
from collabd.catalog.authoring.detect.selection import RowTable, best_class_of_each, best_of_all_classes, corners

# The names that Hugging Face's exporter and the original networks give.
_BOXES = "pred_boxes"
_LOGITS = ("logits", "pred_logits")
# How many of COCO's classes logits of this width stand for. With 92, the last says that there is no object.
_OF_COCO = {80: 80, 91: 91, 92: 91}


@dataclass(frozen=True, kw_only=True)
class QueryDecoder:
    """`boxes` has rows of centre x and y, width and height in 0..1, `logits` of classes.

    `exclusive`: whether a query is of one class or of none, which the last logit stands for; else classes are
    independent.
    """

    boxes: RowTable
    logits: RowTable
    heads: Heads
    exclusive: bool = False

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self.logits.width - self.exclusive

    @property
    def said(self) -> str:
        """What else was found."""
        kind = "softmax, the last for no object" if self.exclusive else "sigmoids"
        return f"boxes relative to the picture, one for each query, scores by {kind}"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose as the reference does: each query with its best class, or the best pairs of a query and a class."""
        if self.exclusive:
            shares = writer.add("Softmax", self.logits.tensor, axis=2)
            table = RowTable(tensor=shares, rows=self.logits.rows, width=self.logits.width)
            chosen = best_class_of_each(writer, table.part(writer, 0, self.classes), most=most)
        else:
            chosen = best_of_all_classes(writer, self.logits, logits=True, most=most)
        centred = self.boxes.taken(writer, chosen.rows, chosen.count).tensor
        sides = np.array([self.heads.width, self.heads.height] * 2, np.float32)
        return Boxes(writer.add("Mul", corners(writer, centred), sides), chosen.scores, chosen.classes, chosen.count)


def queries(heads: Heads, *, exclusive: bool = False) -> QueryDecoder | None:
    """The decoder of the two outputs, known by their names, else by their shapes; None if there are no such two."""
    found = _named(heads) or boxes_and_classes(heads)
    if found is None:
        return None
    boxes, logits = found
    if exclusive and logits.width < 2:
        return None
    return QueryDecoder(boxes=boxes, logits=logits, heads=heads, exclusive=exclusive)


def are_named(heads: Heads, *, coco: int) -> bool:
    """Whether the outputs have the names of the DETR family.

    The names do not say which network of it. Where the logits have a width that COCO's classes have in one of them,
    they are those of a network in which that width is `coco`.
    """
    found = _named(heads)
    if found is None:
        return False
    width = found[1].width
    return width not in _OF_COCO or heads.classes not in (None, _OF_COCO[width]) or width == coco


def _named(heads: Heads) -> tuple[RowTable, RowTable] | None:
    logits = next((name for name in _LOGITS if name in heads.outputs), None)
    if logits is None or _BOXES not in heads.outputs:
        return None
    shapes = heads.shape(_BOXES), heads.shape(logits)
    if [len(shape) for shape in shapes] != [3, 3] or shapes[0][1] != shapes[1][1] or shapes[0][2] != 4:
        return None
    (_, rows, _), (_, _, width) = shapes
    return RowTable(tensor=_BOXES, rows=rows, width=4), RowTable(tensor=logits, rows=rows, width=width)
