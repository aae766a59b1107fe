"""DETR (Facebook Research, Apache-2.0), YOLOS and Table Transformer: queries of one class or of none."""

from __future__ import annotations

from functools import partial

from collabd.catalog.authoring.detect.family import IMAGENET_MEAN, IMAGENET_STD, NO_SUPPRESSION, Family, Preset
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.queries import are_named, queries

# All category numbers of COCO, and no object.
_COCO = 92


def _expects(_: Heads) -> str:
    return (
        "two outputs, pred_boxes [batch, queries, 4] and logits [batch, queries, classes + 1], of which the last says "
        "that there is no object"
    )


DETR = Family(
    name="detr",
    title="DETR or YOLOS",
    preset=Preset(score_threshold=0.5, iou_threshold=NO_SUPPRESSION, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    expects=_expects,
    fit=partial(queries, exclusive=True),
    telling=lambda heads: are_named(heads, coco=_COCO),
)
