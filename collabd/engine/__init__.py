"""Run parts of networks in ONNX Runtime sessions, which are built on demand and cached up to a bound in bytes."""

from .engine import Engine, EngineStats, SubgraphSource
from .errors import EngineError
from .session import Part
from .stop import Stop, Stopped

__all__ = ["Engine", "EngineError", "EngineStats", "Part", "Stop", "Stopped", "SubgraphSource"]
