"""One ONNX Runtime session over one part of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnxruntime as ort

from collabd.heap import return_free_memory

from .errors import EngineError
from .memory import share_arena
from .signature import Port, check_feeds
from .stop import Stop, Stopped

# The graph, plan and kernels of a session, without weights. Measured: 0.3 MB (VGG16) to 2 MB (DenseNet-121).
_SESSION_BYTES = 1 << 20

_ENTRIES = {
    # A thread pool that spins takes the core from the next session: with two threads, 46 sessions were 25 times slower.
    "session.intra_op.allow_spinning": "0",
    "session.use_env_allocators": "1",
}


class Part(Protocol):
    """A part of a network: a serialised ONNX model with its large weights beside it, by name.

    ``constants`` are initializers that the model declares as external data. Sessions read the same arrays, except where
    the runtime repacks them: each session has its own copy in the blocked layout (x86-64).
    ``weights`` are inputs of the model that never change; all sessions read the same array.
    """

    @property
    def model(self) -> bytes: ...  # noqa: D102
    @property
    def constants(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102
    @property
    def weights(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102


class Session:
    """A part of a network that is ready to run. ``nbytes`` is the memory that it does not share."""

    def __init__(self, part: Part, threads: int) -> None:
        # The runtime reads the arrays where they are, so these values must live as long as the session.
        self._constants = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in part.constants.items()}
        self._weights = dict(part.weights)
        self._session = _built(part.model, self._constants, threads)
        inputs = [node for node in self._session.get_inputs() if node.name not in self._weights]
        self._inputs = tuple(Port.of(node.name, node.type, node.shape) for node in inputs)
        # The dtype and shape of each array that was found to fit last.
        self._fitting: dict[str, object] | None = None
        self.nbytes = own_bytes(part)

    def __del__(self) -> None:
        # The runtime's session goes first, so that its memory is among what is returned.
        self.__dict__.pop("_session", None)
        return_free_memory()

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs by name. Any number of threads may call it. A run that was stopped does not affect the next.

        EngineError if the feeds do not fit or the runtime fails, Stopped if `stop` was requested before the end.
        """
        self._check(feeds)
        try:
            found = self._session.run(outputs, {**self._weights, **feeds}, None if stop is None else stop.options)
        except Exception as error:
            if stop is not None and stop.requested:
                raise Stopped(f"running {list(feeds)} → {list(outputs)} was stopped") from error
            raise EngineError(f"running {list(feeds)} → {list(outputs)} failed: {error}") from error
        return dict(zip(outputs, found, strict=True))

    def _check(self, feeds: Mapping[str, np.ndarray]) -> None:
        # Nearly all runs get arrays like those of the run before.
        kinds: dict[str, object] = {
            name: isinstance(array, np.ndarray) and (array.dtype, array.shape) for name, array in feeds.items()
        }
        if kinds != self._fitting:
            check_feeds(self._inputs, feeds)
            self._fitting = kinds


def own_bytes(part: Part) -> int:
    """The bytes that a session over this part may have for itself: all but the weights, if it repacks each constant."""
    return _SESSION_BYTES + len(part.model) + sum(array.nbytes for array in part.constants.values())


def _built(model: bytes, constants: Mapping[str, ort.OrtValue], threads: int) -> ort.InferenceSession:
    share_arena()
    try:
        options = _options(threads)
        if constants:
            # For the optimiser, which takes a copy, and for the kernels, which then do without one.
            options.add_external_initializers(list(constants), list(constants.values()))
            for name, value in constants.items():
                options.add_initializer(name, value)
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"ONNX Runtime refuses this part of the network: {error}") from error
    del options
    return_free_memory()
    return session


def _options(threads: int) -> ort.SessionOptions:
    """All optimisations stay on: the blocked layout (x86-64) alone makes depthwise convolutions 2.5 times faster."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Failures become EngineError; the runtime's own lines on stderr would only double them.
    options.log_severity_level = 4
    for key, value in _ENTRIES.items():
        options.add_session_config_entry(key, value)
    return options
