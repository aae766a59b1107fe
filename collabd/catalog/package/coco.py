"""The names of the classes of COCO, on which most published detectors were trained (the data are CC BY 4.0)."""

from __future__ import annotations

# By category number. Those without a name are not annotated, and no network should give them.
_BY_NUMBER: tuple[str | None, ...] = (
    None, "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", None, "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", None, "backpack", "umbrella", None, None, "handbag", "tie", "suitcase",
    "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", None, "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", None, "dining table", None, None, "toilet", None, "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", None, "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# 80 names: those that are annotated, as YOLO and its kin number them.
COCO_80 = tuple(name for name in _BY_NUMBER if name is not None)
# 91 names: by category number, as torchvision, TensorFlow and RF-DETR have them.
COCO_91 = tuple(name or f"unused {number}" for number, name in enumerate(_BY_NUMBER))
# 90 names: without the first number, as TensorFlow Lite has them.
COCO_90 = COCO_91[1:]
_BY_COUNT = {len(names): names for names in (COCO_80, COCO_90, COCO_91)}


def class_names(count: int) -> tuple[str, ...]:
    """The names of COCO where it has `count`, else numbers."""
    return _BY_COUNT.get(count) or tuple(map(str, range(count)))
