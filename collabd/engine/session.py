"""One ONNX Runtime session over one part of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnxruntime as ort

from collab_sdk.vocabulary import Precision, Provider
from collabd.heap import return_free_memory

from .errors import EngineError, ProviderFailed
from .inlined import inlined
from .memory import share_arena
from .processor import adds_exactly
from .provider import arguments_of, name_of
from .signature import SessionInput, check_feeds
from .stop import Stop, Stopped

# The graph, plan and kernels of a session, without weights. Measured: 0.3 MB (VGG16) to 2 MB (DenseNet-121).
_SESSION_BYTES = 1 << 20

_ENTRIES = {
    # A thread pool that spins takes the core from the next session: with two threads, 46 sessions were 25 times slower.
    "session.intra_op.allow_spinning": "0",
    "session.use_env_allocators": "1",
    # Takes 8-bit weights as unsigned, where others would overflow. With VNNI it would only cost: VGG16 1.2 → 2.8 ms.
    "session.x64quantprecision": "0" if adds_exactly() else "1",
}
# It would round the weights of the layers that an int8 graph leaves in fp32, with one scale for all channels.
_WITHOUT = ("WeightBiasQuantization",)


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

    def __init__(
        self,
        part: Part,
        threads: int,
        provider: Provider = Provider.CPU,
        *,
        precision: Precision = Precision.FP32,
    ) -> None:
        """EngineError if the runtime refuses the part; `ProviderFailed` if another provider might take it.

        `precision`: in which the provider shall compute; only one that is reduced differs from that of the part itself.
        """
        self.nbytes = own_bytes(part, provider)
        if provider != Provider.CPU:
            part = inlined(part.model, part.constants, part.weights)
        self._failure = EngineError if provider == Provider.CPU else ProviderFailed
        # The runtime reads the arrays where they are, so these values must live as long as the session.
        self._constants = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in part.constants.items()}
        self._weights = dict(part.weights)
        try:
            self._session = _built(part.model, self._constants, threads=threads, provider=provider, precision=precision)
        except Exception as error:
            raise self._failure(f"ONNX Runtime refuses this part of the network: {error}") from error
        inputs = [node for node in self._session.get_inputs() if node.name not in self._weights]
        self._inputs = tuple(SessionInput.of(node.name, node.type, node.shape) for node in inputs)
        # The dtype and shape of each array that was found to fit last.
        self._fitting: dict[str, object] | None = None

    def __del__(self) -> None:
        # The runtime's session goes first, so that its memory is among what is returned.
        self.__dict__.pop("_session", None)
        return_free_memory()

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs by name. Any number of threads may call it. A run that was stopped does not affect the next.

        EngineError if the feeds do not fit, also if the runtime fails, but `ProviderFailed` if another provider might
        not. Stopped if `stop` was requested before the end.
        """
        self._check(feeds)
        try:
            found = self._session.run(outputs, {**self._weights, **feeds}, None if stop is None else stop.options)
        except Exception as error:
            if stop is not None and stop.requested:
                raise Stopped(f"running {list(feeds)} → {list(outputs)} was stopped") from error
            raise self._failure(f"running {list(feeds)} → {list(outputs)} failed: {error}") from error
        return dict(zip(outputs, found, strict=True))

    def _check(self, feeds: Mapping[str, np.ndarray]) -> None:
        # Nearly all runs get arrays like those of the run before.
        kinds: dict[str, object] = {
            name: isinstance(array, np.ndarray) and (array.dtype, array.shape) for name, array in feeds.items()
        }
        if kinds != self._fitting:
            check_feeds(self._inputs, feeds)
            self._fitting = kinds


def own_bytes(part: Part, provider: Provider = Provider.CPU) -> int:
    """The bytes that a session over this part may have for itself: all but the weights, if it repacks each constant.

    Only the CPU's provider shares the weights.
    """
    shared = provider == Provider.CPU
    own = sum(array.nbytes for array in part.constants.values())
    return (
        _SESSION_BYTES + len(part.model) + own + (0 if shared else sum(each.nbytes for each in part.weights.values()))
    )


def _built(
    model: bytes, constants: Mapping[str, ort.OrtValue], *, threads: int, provider: Provider, precision: Precision
) -> ort.InferenceSession:
    share_arena()
    options = _options(threads)
    if constants:
        # For the optimiser, which takes a copy, and for the kernels, which then do without one.
        options.add_external_initializers(list(constants), list(constants.values()))
        if provider == Provider.CPU:
            for name, value in constants.items():
                options.add_initializer(name, value)
    session = ort.InferenceSession(
        model,
        options,
        providers=arguments_of(provider, threads, precision),
        disabled_optimizers=_WITHOUT,
        # Else it would go on without a provider that cannot be loaded, and say so on standard output alone.
        enable_fallback=0,
    )
    if name_of(provider) not in session.get_providers():
        raise RuntimeError(f"{name_of(provider)} could not be loaded")
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
