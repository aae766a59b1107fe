"""From an ONNX graph to its layers, candidate cuts and runnable parts, all by tensor names."""

from .cuts import IMAGE_CUT, CutSpec, candidate_cuts
from .errors import PartitionError
from .graph import Graph
from .layers import LayerSpec, decoder_start, layers
from .network import Network
from .ordering import order
from .segments import segment
from .shapes import UNKNOWN_BYTES, TensorInfo, annotate, frame_of
from .subgraph import Subgraph

__all__ = [
    "IMAGE_CUT",
    "UNKNOWN_BYTES",
    "CutSpec",
    "Graph",
    "LayerSpec",
    "Network",
    "PartitionError",
    "Subgraph",
    "TensorInfo",
    "annotate",
    "candidate_cuts",
    "decoder_start",
    "frame_of",
    "layers",
    "order",
    "segment",
]
