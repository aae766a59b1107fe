"""NanoDet-g by RangiLyu: a detector of the 80 classes of COCO, without its decoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from collabd.catalog.authoring.foreign.image_input import image_input
from models.human_models import network
from models.tfjs import convert

__all__ = ["BINS", "SIDE", "STRIDES", "trained"]

SIDE = 416
STRIDES = (8, 16, 32)
# Distances from the centre of a cell to a side of the box: probabilities of 0, 1, ... 10 strides.
BINS = 11
# Of red, green and blue.
_MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)
_STD = (58.395 / 255, 57.12 / 255, 57.375 / 255)
_FIRST_FILTER = "PartitionedCall/split"
_OUTPUTS = {
    "Identity": "classes_8",
    "Identity_1": "classes_16",
    "Identity_2": "classes_32",
    "Identity_3": "distances_8",
    "Identity_4": "distances_16",
    "Identity_5": "distances_32",
}


def trained(archive: Path) -> onnx.ModelProto:
    """The network with the weights in `archive` (`models.human_models`).

    It takes uint8 [batch, 416, 416, 3], RGB, and returns for the n cells of each stride the probabilities of the
    classes, `classes_8` float32 [batch, n, 80], and the distances, `distances_8` float32 [batch, n, 4 x 11]: to the
    left, top, right and bottom, each as logits.
    """
    graph = network(archive, "nanodet")
    # It was trained on BGR. To turn the filters that read the picture costs nothing; to turn the picture would.
    turned = graph.weights[_FIRST_FILTER][:, :, ::-1]
    rgb = replace(graph, weights={**graph.weights, _FIRST_FILTER: turned})
    model, _ = image_input(convert(rgb, _OUTPUTS), size=None, mean=_MEAN, std=_STD)
    return model
