"""NanoDet (RangiLyu, Apache-2.0): for each cell, classes, and for each side of the box how far away it is.

A distance is a distribution over 0, 1, 2, ... strides. NanoDet-Plus measures it from the corner of the cell, and its
cells have four strides; older networks measure it from the centre, and theirs have three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from collabd.catalog.authoring.detect import cells
from collabd.catalog.authoring.detect.family import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Boxes,
    Decoder,
    Family,
    Preset,
)
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.selection import RowTable, best_of_all_classes

# How many distances the published networks tell apart, and for how many classes.
_BINS = (8, 11)
_CLASSES = 80


@dataclass(frozen=True, kw_only=True)
class NanoDetDecoder:
    """Of the parts of one table, or of a table for each stride, that hold `classes` scores and 4 x `bins` logits."""

    scores: Sequence[str]
    distances: Sequence[str]
    together: bool
    strides: Sequence[int]
    heads: Heads
    classes: int
    bins: int

    @property
    def said(self) -> str:
        """Where the distances are measured from, and how finely."""
        return f"distances from the {'corner' if self._from_corner else 'centre'} of each cell, in {self.bins} steps"

    def append(self, writer: GraphWriter, most: int) -> Boxes:
        """Choose the best pairs of a cell and a class, as the reference does, and clip the boxes to the input."""
        rows = cells.count(self.heads.height, self.heads.width, self.strides)
        if self.together:
            whole = RowTable(tensor=self.scores[0], rows=rows, width=self.classes + 4 * self.bins)
            scores, logits = whole.part(writer, 0, self.classes), whole.part(writer, self.classes, whole.width)
        else:
            scores = RowTable(tensor=writer.add("Concat", *self.scores, axis=1), rows=rows, width=self.classes)
            logits = RowTable(tensor=writer.add("Concat", *self.distances, axis=1), rows=rows, width=4 * self.bins)
        chosen = best_of_all_classes(writer, scores, most=most)
        distances = self._distances(writer, logits.taken(writer, chosen.rows, chosen.count))
        grid = cells.cells(self.heads.height, self.heads.width, self.strides)
        places = (grid[:, [0, 1, 0, 1]] + np.float32(0 if self._from_corner else 0.5)) * grid[:, [2]]
        stride = writer.add("Gather", grid[:, [2]] * np.array([-1, -1, 1, 1], np.float32), chosen.rows, axis=0)
        origin = writer.add("Gather", places, chosen.rows, axis=0)
        boxes = writer.add("Add", origin, writer.add("Mul", distances, stride))
        sides = np.array([self.heads.width, self.heads.height] * 2, np.float32)
        boxes = writer.add("Min", writer.add("Max", boxes, np.array(0, np.float32)), sides)
        return Boxes(boxes, chosen.scores, chosen.classes, chosen.count)

    @property
    def _from_corner(self) -> bool:
        return self.strides == cells.FOUR

    def _distances(self, writer: GraphWriter, logits: RowTable) -> str:
        """To the left, top, right and bottom, in strides, [batch, rows, 4]: the means of the distributions."""
        apart = writer.add("Reshape", logits.tensor, np.array([0, logits.rows, 4, self.bins]))
        shares = writer.add("Softmax", apart, axis=3)
        return writer.reduced("ReduceSum", writer.add("Mul", shares, np.arange(self.bins, dtype=np.float32)), 3)


def _fit(heads: Heads, strides: Sequence[int]) -> Decoder | None:
    if any(value.ndim != 3 for value in heads.outputs.values()):
        return None
    return _of_one(heads, strides) if len(heads.outputs) == 1 else _of_each_stride(heads, strides)


def _of_one(heads: Heads, strides: Sequence[int]) -> Decoder | None:
    (name,) = heads.outputs
    _, rows, width = heads.shape(name)
    split = _split(width, heads.classes)
    if rows != cells.count(heads.height, heads.width, strides) or split is None:
        return None
    classes, bins = split
    return NanoDetDecoder(
        scores=[name], distances=[name], together=True, strides=strides, heads=heads, classes=classes, bins=bins
    )


def _split(width: int, classes: int | None) -> tuple[int, int] | None:
    """How many classes and bins a row of `width` values has, if it has as many bins as a published network.

    Rows of other widths can be read in several ways. `classes`: how many there are; None: preferably COCO's, else as
    many as are left by the bins of NanoDet-Plus.
    """
    ways = [(width - 4 * bins, bins) for bins in _BINS if width > 4 * bins]
    exact = [way for way in ways if way[0] == (classes or _CLASSES)]
    if exact or classes:
        return exact[0] if exact else None
    return ways[0] if ways else None


def _of_each_stride(heads: Heads, strides: Sequence[int]) -> Decoder | None:
    pairs = [_pair(heads, stride) for stride in strides]
    if len(heads.outputs) != 2 * len(strides) or not all(pairs):
        return None
    scores, distances = zip(*[pair for pair in pairs if pair], strict=True)
    widths = {(heads.shape(one)[2], heads.shape(other)[2]) for one, other in zip(scores, distances, strict=True)}
    if len(widths) != 1:
        return None
    ((classes, width),) = widths
    return NanoDetDecoder(
        scores=scores,
        distances=distances,
        together=False,
        strides=strides,
        heads=heads,
        classes=classes,
        bins=width // 4,
    )


def _pair(heads: Heads, stride: int) -> tuple[str, str] | None:
    """The outputs with the scores and with the distances of the cells of one stride."""
    number = cells.count(heads.height, heads.width, [stride])
    found = [name for name in heads.outputs if heads.shape(name)[1] == number]
    widths = [heads.shape(name)[2] for name in found]
    if len(found) != 2:
        return None
    if heads.classes and heads.classes in widths:
        scores = widths.index(heads.classes)
    else:
        bins = [width in {4 * each for each in _BINS} for width in widths]
        if sum(bins) != 1:
            return None
        scores = bins.index(False)
    return (found[scores], found[1 - scores]) if widths[1 - scores] % 4 == 0 else None


def _expects(heads: Heads, strides: Sequence[int]) -> str:
    rows = cells.count(heads.height, heads.width, strides)
    return (
        f"one output [batch, {rows}, classes + 32 or 44], or for each stride "
        f"({', '.join(map(str, strides))}) two outputs, [batch, cells, classes] and [batch, cells, 32 or 44]"
    )


def _family(name: str, title: str, *, strides: Sequence[int], preset: Preset) -> Family:
    return Family(
        name=name,
        title=title,
        preset=preset,
        expects=partial(_expects, strides=strides),
        fit=partial(_fit, strides=strides),
    )


_PRESET = Preset(score_threshold=0.35, iou_threshold=0.6, order="bgr", mean=IMAGENET_MEAN, std=IMAGENET_STD)
NANODET_PLUS = _family("nanodet-plus", "NanoDet-Plus", strides=cells.FOUR, preset=_PRESET)
NANODET = _family(
    "nanodet", "NanoDet (before Plus)", strides=cells.THREE, preset=replace(_PRESET, rule="letterbox", pad=0)
)
