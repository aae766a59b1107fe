"""All families of detectors that collabd decodes."""

from __future__ import annotations

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.detect.detr import DETR
from collabd.catalog.authoring.detect.family import Family
from collabd.catalog.authoring.detect.nanodet import NANODET, NANODET_PLUS
from collabd.catalog.authoring.detect.rf_detr import RF_DETR
from collabd.catalog.authoring.detect.rt_detr import RT_DETR
from collabd.catalog.authoring.detect.ssd import SSD
from collabd.catalog.authoring.detect.yolo_end_to_end import YOLO_END_TO_END
from collabd.catalog.authoring.detect.yolo_nas import YOLO_NAS
from collabd.catalog.authoring.detect.yolov5 import YOLOV5
from collabd.catalog.authoring.detect.yolov8 import YOLOV8
from collabd.catalog.authoring.detect.yolox import YOLOX

FAMILIES = {
    each.name: each
    for each in (YOLOX, NANODET_PLUS, NANODET, YOLOV5, YOLOV8, YOLO_END_TO_END, YOLO_NAS, RT_DETR, RF_DETR, DETR, SSD)
}


def family(name: str) -> Family:
    """The family of this name. Raises `InvalidRequest` listing those there are."""
    if name not in FAMILIES:
        raise InvalidRequest(f"there is no decoder {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]
