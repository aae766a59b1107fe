"""Run parts of networks in ONNX Runtime sessions, which are built on demand and cached up to a bound in bytes."""

from .engine import Engine, EngineStats, SubgraphSource
from .errors import EngineError, ProviderFailed
from .keys import keys_of, other_key
from .memory import session_bytes
from .provider import CPU_ALONE, reduced_by, why_missing
from .session import Part, Session
from .stop import Stop, Stopped

__all__ = [
    "CPU_ALONE",
    "Engine",
    "EngineError",
    "EngineStats",
    "Part",
    "ProviderFailed",
    "Session",
    "Stop",
    "Stopped",
    "SubgraphSource",
    "keys_of",
    "other_key",
    "reduced_by",
    "session_bytes",
    "why_missing",
]
