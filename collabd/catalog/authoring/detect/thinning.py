"""Leave out the boxes that suppression is certain to leave out, so that the others have room in the answer.

A detector gives about ten boxes for each thing. Of 100 boxes there would be ten things, were it not for this.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from collabd.catalog.authoring.detect.family import Boxes
from collabd.catalog.authoring.detect.graph_writer import GraphWriter


def thinned(writer: GraphWriter, found: Boxes, *, most: int, iou_threshold: float) -> Boxes:
    """The best `most` of more boxes, whose scores fall, without those that suppression is certain to leave out.

    A box has rivals: those of its class with a higher score that overlap it more than `iou_threshold`. Suppression
    keeps a box without rivals, so it leaves out every box of which such a one is a rival. Those get the score 0 and
    thereby fall behind. Suppression of what remains gives the same as suppression of all.
    """
    rivals = _rivals(writer, found, iou_threshold)
    best = writer.add("Sub", np.array(1, np.float32), writer.reduced("ReduceMax", rivals, 2))
    across = writer.add("Reshape", best, np.array([0, 1, found.number]))
    beaten = writer.reduced("ReduceMax", writer.add("Mul", rivals, across), 2)
    left = writer.add("Mul", found.scores, writer.add("Sub", np.array(1, np.float32), beaten))
    scores, rows = writer.best(left, most)
    places = writer.add("Mul", writer.add("Reshape", rows, np.array([0, most, 1])), np.ones([1, 1, 4], np.int64))
    boxes = writer.add("GatherElements", found.boxes, places, axis=1)
    return Boxes(boxes, scores, writer.add("GatherElements", found.classes, rows, axis=1), most)


def _rivals(writer: GraphWriter, found: Boxes, iou_threshold: float) -> str:
    """float32 [batch, K, K]: 1 where the box of the column is a rival of the box of the row, else 0."""
    count = found.number
    across = writer.add("Transpose", found.boxes, perm=[0, 2, 1])
    (wide, width, other_width), (high, height, other_height) = (
        _of_axis(writer, found.boxes, across, axis=axis) for axis in (0, 1)
    )
    shared = writer.add("Mul", wide, high)
    areas = writer.add("Add", writer.add("Mul", width, height), writer.add("Mul", other_width, other_height))
    allowed = writer.add("Mul", writer.add("Sub", areas, shared), np.array(iou_threshold, np.float32))
    kinds = writer.add("Cast", found.classes, to=TensorProto.INT32)
    down, right = (writer.add("Reshape", kinds, np.array(shape)) for shape in ([0, count, 1], [0, 1, count]))
    alike = writer.add("And", writer.add("Greater", shared, allowed), writer.add("Equal", down, right))
    return writer.add("Cast", writer.add("And", alike, np.tri(count, k=-1, dtype=np.bool_)), to=TensorProto.FLOAT)


def _of_axis(writer: GraphWriter, down: str, across: str, *, axis: int) -> tuple[str, str, str]:
    """Along x (0) or y (1): what each pair of boxes shares, and the sides of the boxes, in a column and in a row."""
    begin, end = (writer.part(down, side, side + 1, axis=2) for side in (axis, axis + 2))
    other_begin, other_end = (writer.part(across, side, side + 1, axis=1) for side in (axis, axis + 2))
    shared = writer.add("Sub", writer.add("Min", end, other_end), writer.add("Max", begin, other_begin))
    shared = writer.add("Max", shared, np.array(0, np.float32))
    sides = [writer.add("Sub", end, begin), writer.add("Sub", other_end, other_begin)]
    side, other_side = (writer.add("Max", each, np.array(0, np.float32)) for each in sides)
    return shared, side, other_side
