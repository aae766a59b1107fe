"""The published post-processing of each family, for one picture, in NumPy: all boxes are decoded, the best are kept.

Each gives candidates: boxes (x1, y1, x2, y2 in pixels of the input), scores and classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Candidates(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def best(self, most: int) -> Candidates:
        order = np.argsort(-self.scores, kind="stable")[:most]
        return Candidates(self.boxes[order], self.scores[order], self.classes[order])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def grid(height: int, width: int, strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xs, ys, ss = [], [], []
    for stride in strides:
        for row in range(-(-height // stride)):
            for column in range(-(-width // stride)):
                xs.append(column)
                ys.append(row)
                ss.append(stride)
    return np.array(xs), np.array(ys), np.array(ss)


def from_centre(cx: np.ndarray, cy: np.ndarray, w: np.ndarray, h: np.ndarray) -> np.ndarray:
    return np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)


def all_pairs(boxes: np.ndarray, scores: np.ndarray) -> Candidates:
    count = scores.shape[1]
    return Candidates(boxes.repeat(count, axis=0), scores.reshape(-1), np.tile(np.arange(count), len(boxes)))


def yolox(raw: np.ndarray, height: int, width: int) -> Candidates:
    x, y, stride = grid(height, width, (8, 16, 32))
    boxes = from_centre(
        (raw[:, 0] + x) * stride, (raw[:, 1] + y) * stride, np.exp(raw[:, 2]) * stride, np.exp(raw[:, 3]) * stride
    )
    return objects(boxes, raw)


def objects(boxes: np.ndarray, raw: np.ndarray) -> Candidates:
    scores = raw[:, 4:5] * raw[:, 5:]
    return Candidates(boxes, scores.max(axis=1), scores.argmax(axis=1))


def yolov5(raw: np.ndarray) -> Candidates:
    return objects(from_centre(*raw[:, :4].T), raw)


def yolov8(raw: np.ndarray) -> Candidates:
    scores = raw[4:]
    return Candidates(from_centre(*raw[:4]), scores.max(axis=0), scores.argmax(axis=0))


def nanodet(
    scores: np.ndarray, logits: np.ndarray, *, height: int, width: int, strides: tuple[int, ...], offset: float
) -> Candidates:
    x, y, stride = grid(height, width, strides)
    bins = logits.shape[1] // 4
    apart = logits.reshape(len(logits), 4, bins).astype(np.float64)
    shares = np.exp(apart - apart.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    left, top, right, bottom = ((shares * np.arange(bins)).sum(axis=2) * stride[:, np.newaxis]).T
    cx, cy = (x + offset) * stride, (y + offset) * stride
    boxes = np.stack(
        [
            np.clip(cx - left, 0, width),
            np.clip(cy - top, 0, height),
            np.clip(cx + right, 0, width),
            np.clip(cy + bottom, 0, height),
        ],
        axis=1,
    )
    return all_pairs(boxes, scores)


def rf_detr(dets: np.ndarray, logits: np.ndarray, height: int, width: int) -> Candidates:
    boxes = from_centre(*dets.T) * [width, height, width, height]
    return all_pairs(boxes, sigmoid(logits))


def detr(boxes: np.ndarray, logits: np.ndarray, height: int, width: int) -> Candidates:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares = (powers / powers.sum(axis=1, keepdims=True))[:, :-1]
    return Candidates(from_centre(*boxes.T) * [width, height, width, height], shares.max(axis=1), shares.argmax(axis=1))


def ssd(
    boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, *, number: int, size: tuple[int, int]
) -> Candidates:
    height, width = size
    top, left, bottom, right = boxes.T
    corners = np.stack([left * width, top * height, right * width, bottom * height], axis=1)
    return Candidates(corners, np.where(np.arange(len(scores)) < number, scores, 0), classes)


def non_maximum_suppression(found: Candidates, *, score_threshold: float, iou_threshold: float) -> Candidates:
    """One class after the other, in double precision, one box after the other."""
    kept = []
    for kind in np.unique(found.classes):
        left = [i for i in np.argsort(-found.scores, kind="stable") if found.classes[i] == kind]
        left = [i for i in left if found.scores[i] >= score_threshold]
        while left:
            first = left.pop(0)
            kept.append(first)
            left = [i for i in left if _iou(found.boxes[first], found.boxes[i]) <= iou_threshold]
    kept.sort(key=lambda i: -found.scores[i])
    return Candidates(found.boxes[kept], found.scores[kept], found.classes[kept])


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    w = min(float(one[2]), float(other[2])) - max(float(one[0]), float(other[0]))
    h = min(float(one[3]), float(other[3])) - max(float(one[1]), float(other[1]))
    shared = max(w, 0.0) * max(h, 0.0)
    areas = [max(0.0, float(b[2]) - float(b[0])) * max(0.0, float(b[3]) - float(b[1])) for b in (one, other)]
    union = sum(areas) - shared
    return shared / union if union > 0 else 0.0
