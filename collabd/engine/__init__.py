"""Run parts of networks: ONNX Runtime sessions, built on demand and cached within a bound in bytes."""

from .engine import Engine, EngineStats, SubgraphSource
from .errors import EngineError
from .session import Part

__all__ = ["Engine", "EngineError", "EngineStats", "Part", "SubgraphSource"]
