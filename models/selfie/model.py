"""MediaPipe's Selfie Segmentation by Google: which pixels show a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.foreign.image_input import image_input
from models.human_models import network
from models.tfjs import convert

__all__ = ["CLASSES", "SIDE", "trained"]

SIDE = 256
CLASSES = ("background", "person")
_BLACK = (0.0, 0.0, 0.0)
_WHITE = (1.0, 1.0, 1.0)
_SURE = np.array(0.5, np.float32)


def trained(archive: Path) -> onnx.ModelProto:
    """The network with the weights in `archive` (`models.human_models`).

    It takes uint8 [batch, 256, 256, 3], RGB, and returns `mask`, uint8 [batch, 256, 256]: the place in `CLASSES` of
    what each pixel shows. That is a person where its probability is above 0.5.
    """
    converted = convert(network(archive, "selfie"), {"activation_10": "probability"})
    model, _ = image_input(converted, size=None, mean=_BLACK, std=_WHITE)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(_SURE, "sure"))
    graph.initializer.append(numpy_helper.from_array(np.array([3]), "channel"))
    graph.node.append(helper.make_node("Greater", ["probability", "sure"], ["person"], name="person"))
    graph.node.append(helper.make_node("Squeeze", ["person", "channel"], ["plane"], name="plane"))
    graph.node.append(helper.make_node("Cast", ["plane"], ["mask"], name="mask", to=TensorProto.UINT8))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", SIDE, SIDE]))
    return model
