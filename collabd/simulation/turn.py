"""The request that the simulated machines are at."""

from __future__ import annotations

from dataclasses import dataclass

from collab_sdk.vocabulary import Precision
from collabd.simulation.workload import Draw


@dataclass
class Turn:
    """Its number and its luck, and the precision of the layers that ran for it before a crossing."""

    request: int
    luck: Draw
    head: Precision = Precision.FP32
