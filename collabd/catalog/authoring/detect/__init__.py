"""Detectors whose graphs end in raw outputs, with the decoder of their family put behind them as ONNX operators.

What is decoded ends in the best K boxes: `boxes` float32 [batch, K, 4] (x1, y1, x2, y2 in pixels of the network's
input), `scores` float32 [batch, K], falling, and `classes` int32 [batch, K]. Every size is fixed but the batch.
Suppression of boxes that overlap is left to whoever has the answer, since how many boxes it leaves depends on the
picture.
"""

from .decoding import Recognised, decode, fitted, recognise
from .families import FAMILIES, family
from .family import Family, Preset
from .heads import Heads, examine

__all__ = [
    "FAMILIES",
    "Family",
    "Heads",
    "Preset",
    "Recognised",
    "decode",
    "examine",
    "family",
    "fitted",
    "recognise",
]
