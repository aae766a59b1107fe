"""TensorFlow.js graph models as ONNX graphs: the operators that the networks here use, and no others."""

from models.tfjs.convert import convert
from models.tfjs.graph import TfjsGraph, parse

__all__ = ["TfjsGraph", "convert", "parse"]
