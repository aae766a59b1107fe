"""Reads the answer of a task from the outputs that came. What does not fit raises `WireError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_sdk._parameters import WireError
from collab_sdk._tensor import Tensor
from collab_sdk.answers import Answer, Classification, Detections, Legend, RawOutputs, Segmentation
from collab_sdk.vocabulary import TaskKind

# Tasks whose answers speak of classes by number.
OF_CLASSES = frozenset({TaskKind.CLASSIFY, TaskKind.DETECT, TaskKind.SEGMENT})


def answer_in(outputs: list[Tensor], task: str, legend: Legend) -> Answer:
    """The answer of a task of `OF_CLASSES` in these outputs. Its arrays are copies, so that the caller may write."""
    by_name = {tensor.name: tensor for tensor in outputs}
    if task == TaskKind.CLASSIFY:
        return _classification(by_name, legend)
    return _detections(by_name, legend) if task == TaskKind.DETECT else _segmentation(by_name, legend)


def raw_outputs(outputs: list[Tensor]) -> RawOutputs:
    """The outputs as they came."""
    return RawOutputs((tensor.name, tensor.to_array().copy()) for tensor in outputs)


def _classification(outputs: Mapping[str, Tensor], legend: Legend) -> Classification:
    if not legend.labels:
        raise WireError("output 'scores' belongs to a model without labels")
    scores = _array(outputs, "scores", datatype="FP32", shape=(1, len(legend.labels)))
    return Classification(scores[0], legend.labels)


def _detections(outputs: Mapping[str, Tensor], legend: Legend) -> Detections:
    boxes = _array(outputs, "boxes", datatype="FP32", shape=(None, 4))
    scores = _array(outputs, "scores", datatype="FP32", shape=(len(boxes),))
    classes = _array(outputs, "classes", datatype="INT32", shape=(len(boxes),))
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise WireError("a box or its score is not finite")
    _check_classes(classes, "classes", len(legend.labels))
    return Detections(boxes, scores, classes.astype(np.int_), labels=legend.labels, palette=legend.palette)


def _segmentation(outputs: Mapping[str, Tensor], legend: Legend) -> Segmentation:
    mask = _array(outputs, "mask", datatype="UINT8", shape=(None, None))
    is_single = len(legend.labels) == 1
    _check_classes(mask, "mask", 2 if is_single else len(legend.labels))
    return Segmentation(mask.view(np.bool_) if is_single else mask, legend.labels, legend.palette)


def _array(outputs: Mapping[str, Tensor], name: str, *, datatype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """A copy of the output. WireError: it is missing, or of another form (None: any size)."""
    tensor = outputs.get(name)
    if (
        tensor is None
        or tensor.datatype != datatype
        or len(tensor.shape) != len(shape)
        or any(wanted not in {None, size} for wanted, size in zip(shape, tensor.shape, strict=True))
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise WireError(f"it has no output {name!r} of {datatype} [{wanted}]")
    return tensor.to_array().copy()


def _check_classes(numbers: NDArray[Any], name: str, count: int) -> None:
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < count):
        raise WireError(f"output {name!r} has a class that is not one of the model's {count}")
