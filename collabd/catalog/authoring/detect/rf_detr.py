"""RF-DETR (Roboflow, Apache-2.0) and Deformable DETR: queries with independent classes."""

from __future__ import annotations

from collabd.catalog.authoring.detect.family import IMAGENET_MEAN, IMAGENET_STD, NO_SUPPRESSION, Family, Preset
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.queries import are_named, queries

_NAMES = {"dets", "labels"}
# All category numbers of COCO.
_COCO = 91


def _expects(_: Heads) -> str:
    return (
        "two outputs, dets [batch, queries, 4] and labels [batch, queries, classes], or pred_boxes and logits of these "
        "shapes"
    )


RF_DETR = Family(
    name="rf-detr",
    title="RF-DETR",
    preset=Preset(score_threshold=0.5, iou_threshold=NO_SUPPRESSION, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    expects=_expects,
    fit=queries,
    telling=lambda heads: heads.outputs.keys() >= _NAMES or are_named(heads, coco=_COCO),
)
