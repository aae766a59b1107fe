"""Run parts of networks: ONNX Runtime sessions, built on demand and cached within a bound in bytes."""

from .engine import Engine, EngineStats, SubgraphSource
from .errors import EngineError
from .session import Part
from .stop import Stop, Stopped

__all__ = ["Engine", "EngineError", "EngineStats", "Part", "Stop", "Stopped", "SubgraphSource"]
