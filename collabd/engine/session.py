"""One ONNX Runtime session over one part of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from collabd.heap import return_free_memory

from .errors import EngineError
from .memory import share_arena
from .optimised import Optimised, values_of
from .signature import Port, check_feeds
from .stop import Stop, Stopped

# The graph, plan and kernels of a session, without weights. Measured: 0.3 MB (VGG16) to 2 MB (DenseNet-121).
_SESSION_BYTES = 1 << 20

_ENTRIES = {
    # A thread pool that spins takes the core from the next session: with two threads, 46 sessions were 25 times slower.
    "session.intra_op.allow_spinning": "0",
    "session.use_env_allocators": "1",
    # Not in the arena, where they would lie for good in the midst of what runs take and give back.
    "session.use_device_allocator_for_initializers": "1",
}


class Session:
    """A part of a network that is ready to run. ``nbytes`` is the memory that it does not share."""

    def __init__(self, part: Optimised, threads: int) -> None:
        # The session refers to its weights, but does not hold them.
        self._session, self._weights = _built(part, threads)
        self._inputs = tuple(Port.of(node.name, node.type, node.shape) for node in self._session.get_inputs())
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
            found = self._session.run(outputs, feeds, None if stop is None else stop.options)
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


def own_bytes(part: Optimised) -> int:
    """The bytes that a session over this part may have for itself."""
    return _SESSION_BYTES + len(part.model) + (part.constant_bytes if part.packs else 0)


def _built(part: Optimised, threads: int) -> tuple[ort.InferenceSession, dict[str, ort.OrtValue]]:
    share_arena()
    options = _options(threads)
    if not part.packs:
        options.add_session_config_entry("session.disable_prepacking", "1")
    weights = values_of(part.weights)
    # For reading the graph, and for the kernels.
    options.add_external_initializers(list(weights), list(weights.values()))
    for name, value in weights.items():
        options.add_initializer(name, value)
    try:
        session = ort.InferenceSession(part.model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"ONNX Runtime refuses this part of the network: {error}") from error
    return session, weights


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    # What it is given is optimised.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Failures become EngineError; the runtime's own lines on stderr would only double them.
    options.log_severity_level = 4
    for key, value in _ENTRIES.items():
        options.add_session_config_entry(key, value)
    return options
