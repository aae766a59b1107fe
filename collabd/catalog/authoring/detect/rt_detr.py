"""RT-DETR and D-FINE (Apache-2.0): the best queries, chosen in the graph, in three outputs; or all queries, in two."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.catalog.authoring.detect.family import NO_SUPPRESSION, Boxes, Decoder, Family, Preset
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.queries import are_named, queries
from collabd.catalog.authoring.detect.selection import RowTable

# Those of COCO that are annotated. The shapes of the three outputs do not say how many classes there are.
_COCO = 80


@dataclass(frozen=True, kw_only=True)
class RtDetrDecoder:
    """`boxes` has rows of x1, y1, x2, y2 in pixels; `scores` and `labels` are [batch, rows]."""

    boxes: RowTable
    scores: str
    labels: str
    classes: int
    said: str = "boxes in pixels, chosen by its graph"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose the rows with the best scores."""
        count = min(most, self.boxes.rows)
        scores, rows = writer.best(self.scores, count)
        boxes = self.boxes.taken(writer, rows, count).tensor
        return Boxes(boxes, scores, writer.add("GatherElements", self.labels, rows, axis=1), count)


def _fit(heads: Heads) -> Decoder | None:
    return _chosen(heads) or queries(heads)


def _chosen(heads: Heads) -> RtDetrDecoder | None:
    boxes = [name for name, value in heads.outputs.items() if value.ndim == 3 and value.shape[2] == 4]
    flat = [name for name, value in heads.outputs.items() if value.ndim == 2]
    labels = [name for name in flat if heads.outputs[name].dtype.kind == "i"]
    scores = [name for name in flat if heads.outputs[name].dtype.kind == "f"]
    if not len(heads.outputs) == 3 == len(boxes) + len(labels) + len(scores) or not (boxes and labels and scores):
        return None
    rows = heads.shape(boxes[0])[1]
    if heads.shape(labels[0]) != (1, rows) or heads.shape(scores[0]) != (1, rows):
        return None
    table = RowTable(tensor=boxes[0], rows=rows, width=4)
    return RtDetrDecoder(boxes=table, scores=scores[0], labels=labels[0], classes=heads.classes or _COCO)


def _expects(_: Heads) -> str:
    return (
        "three outputs, labels int64 [batch, n], boxes [batch, n, 4] and scores float32 [batch, n], or two, pred_boxes "
        "[batch, queries, 4] and logits [batch, queries, classes]"
    )


RT_DETR = Family(
    name="rt-detr",
    title="RT-DETR or D-FINE",
    preset=Preset(score_threshold=0.4, iou_threshold=NO_SUPPRESSION),
    expects=_expects,
    fit=_fit,
    telling=lambda heads: _chosen(heads) is not None or are_named(heads, coco=_COCO),
)
