"""Which boxes to keep, and their corners.

The best are chosen first, and only those are decoded: 100 rows in place of 8,400. A row may stand for one box of its
best class, or for a box of each class; each family does as its reference does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabd.catalog.authoring.detect.graph_writer import GraphWriter


@dataclass(frozen=True, kw_only=True)
class RowTable:
    """A tensor of three axes, with a row for each place where the network looks: `rows` rows of `width` values.

    `axis`: the axis of the rows, 1, or 2 where the values come first.
    """

    tensor: str
    rows: int
    width: int
    axis: int = 1

    def part(self, writer: GraphWriter, start: int, end: int) -> RowTable:
        """The values from `start` to before `end` of each row."""
        tensor = writer.part(self.tensor, start, end, axis=3 - self.axis)
        return RowTable(tensor=tensor, rows=self.rows, width=end - start, axis=self.axis)

    def taken(self, writer: GraphWriter, chosen: str, most: int) -> RowTable:
        """The `most` rows whose numbers, int64 [batch, most], `chosen` holds. They lie along axis 1."""
        shape = np.array([0, most, 1] if self.axis == 1 else [0, 1, most])
        places = writer.add("Reshape", chosen, shape)
        wide = writer.add(
            "Mul", places, np.ones([1, self.width, 1] if self.axis == 2 else [1, 1, self.width], np.int64)
        )
        tensor = writer.add("GatherElements", self.tensor, wide, axis=self.axis)
        if self.axis == 2:
            tensor = writer.add("Transpose", tensor, perm=[0, 2, 1])
        return RowTable(tensor=tensor, rows=most, width=self.width)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Of the best boxes: the rows in which they are, scores and classes, each [batch, count]; scores fall."""

    rows: str
    scores: str
    classes: str
    count: int


def best_class_of_each(
    writer: GraphWriter, scores: RowTable, *, objectness: RowTable | None = None, most: int
) -> Chosen:
    """The best rows, each with its best class. A score is that of the class, times the `objectness` of the row."""
    count = min(most, scores.rows)
    best = writer.reduced("ReduceMax", scores.tensor, 3 - scores.axis)
    if objectness is not None:
        best = writer.add("Mul", best, writer.add("Flatten", objectness.tensor, axis=1))
    found, rows = writer.best(best, count)
    classes = writer.add("ArgMax", scores.taken(writer, rows, count).tensor, axis=2, keepdims=0)
    return Chosen(rows=rows, scores=found, classes=classes, count=count)


def best_of_all_classes(writer: GraphWriter, scores: RowTable, *, logits: bool = False, most: int) -> Chosen:
    """The best pairs of a row and a class. `logits`: whether a score is the sigmoid of what `scores` holds.

    The row of such a pair is among the rows whose best class is best, so only the pairs of those are compared.
    """
    near = min(most, scores.rows)
    _, candidates = writer.best(writer.reduced("ReduceMax", scores.tensor, 3 - scores.axis), near)
    pairs = writer.add("Flatten", scores.taken(writer, candidates, near).tensor, axis=1)
    if logits:
        # Before the choice: near 1, ONNX Runtime's sigmoid of a larger number may be a little smaller.
        pairs = writer.add("Sigmoid", pairs)
    count = min(most, near * scores.width)
    found, chosen = writer.best(pairs, count)
    width = np.array(scores.width)
    places = writer.add("Div", chosen, width)
    classes = writer.add("Sub", chosen, writer.add("Mul", places, width))
    return Chosen(
        rows=writer.add("GatherElements", candidates, places, axis=1), scores=found, classes=classes, count=count
    )


def corners(writer: GraphWriter, centred: str) -> str:
    """Boxes [batch, K, 4] as x1, y1, x2, y2, from the centre x and y, width and height."""
    half = np.array([-0.5, -0.5, 0.5, 0.5], np.float32)
    away = writer.add("Mul", writer.columns(centred, 2, 3, 2, 3), half)
    return writer.add("Add", writer.columns(centred, 0, 1, 0, 1), away)
