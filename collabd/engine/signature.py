"""The inputs of a session, and whether given arrays fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import EngineError

_DTYPES = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    **{f"tensor({name})": np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{f"tensor({name})": np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
}


@dataclass(frozen=True)
class SessionInput:
    """An input of a session. A dimension is a size, a name with the same size in all inputs, or None for any size."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str | None, ...]

    @classmethod
    def of(cls, name: str, kind: str, shape: Sequence[int | str | None]) -> SessionInput:
        """From what ONNX Runtime says about the input; EngineError if numpy has no such type."""
        if kind not in _DTYPES:
            raise EngineError(f"input {name!r} is a {kind}, which the engine cannot feed")
        return cls(name, _DTYPES[kind], tuple(shape))


def check_feeds(ports: Sequence[SessionInput], feeds: Mapping[str, np.ndarray]) -> None:
    """EngineError unless `feeds` holds an array of fitting dtype and shape for exactly these inputs."""
    names = {port.name for port in ports}
    if names != feeds.keys():
        raise EngineError(f"missing inputs {sorted(names - feeds.keys())}, unknown {sorted(feeds.keys() - names)}")
    sizes: dict[str, int] = {}
    for port in ports:
        _check(port, feeds[port.name], sizes)


def _check(port: SessionInput, array: np.ndarray, sizes: dict[str, int]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != port.dtype:
        raise EngineError(f"input {port.name!r} must be a {port.dtype} array, not {_described(array)}")
    wanted = [sizes.get(dim) if isinstance(dim, str) else dim for dim in port.shape]
    fits = array.ndim == len(wanted) and all(
        size == given or size is None for size, given in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        raise EngineError(f"input {port.name!r} must have shape {_shown(port, wanted)}, not {list(array.shape)}")
    sizes.update({dim: size for dim, size in zip(port.shape, array.shape, strict=True) if isinstance(dim, str)})


def _described(array: object) -> str:
    return str(array.dtype) if isinstance(array, np.ndarray) else type(array).__name__


def _shown(port: SessionInput, wanted: Sequence[int | None]) -> str:
    return str([size if size is not None else dim or "any" for size, dim in zip(wanted, port.shape, strict=True)])
