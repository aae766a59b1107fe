"""What the companion answers, whole networks and tails: free of HTTP, so that other servers can stand in front."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import collabd
from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, NotReady, Overloaded
from collab_sdk.result import MODEL_VERSION
from collabd.cloud.call.batcher import Batcher, Done
from collabd.cloud.call.decoding import DecodingThreads
from collabd.cloud.call.intake import RequestLimits, decoded_bytes
from collabd.cloud.call.memory import RequestMemory
from collabd.cloud.load import LoadMeter
from collabd.cloud.metrics import Metrics
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.model import CloudModel
from collabd.http.parameters import EXTENSIONS, as_asked, check_outputs, check_parameters
from collabd.partition import TensorInfo

_KNOWN = ("digest",)


class CloudDataPlane:
    """The `DataPlane` of collab-cloudd. Inputs are decoded while the engine runs other requests."""

    def __init__(
        self,
        models: CloudModels,
        batcher: Batcher,
        decoding: DecodingThreads,
        limits: RequestLimits,
        metrics: Metrics,
        load: LoadMeter,
        memory: RequestMemory,
    ) -> None:
        self._models = models
        self._batcher = batcher
        self._decoding = decoding
        self._limits = limits
        self._metrics = metrics
        self._load = load
        self._memory = memory
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # False once the daemon goes down: what runs is finished, and load balancers look elsewhere.
        self.open = True

    def ready(self) -> bool:
        """Whether requests are served now."""
        return self.open

    def server_metadata(self) -> dict[str, Any]:
        """Name, version and protocol extensions."""
        return {"name": "collab-cloudd", "version": collabd.__version__, "extensions": list(EXTENSIONS)}

    def models(self) -> list[str]:
        """Names of the loaded models."""
        return self._models.names

    def model_ready(self, name: str) -> bool:
        """A loaded model is warm. Raises `UnknownModel`."""
        self._models.get(name)
        return self.open

    def model_metadata(self, name: str) -> dict[str, Any]:
        """Inputs and outputs of the whole network; -1 is the batch. Raises `UnknownModel`.

        The output is the network's own; its parameters say what it is, which the device makes probabilities of.
        """
        model = self._models.get(name)
        manifest = model.manifest
        return {
            "platform": "onnxruntime",
            "inputs": [_metadata(info) for info in model.network.inputs],
            "outputs": [_metadata(info) for info in model.network.outputs],
            "parameters": {
                "digest": model.digest,
                "labels": list(manifest.labels),
                "scores": manifest.output_kind,
            },
        }

    @contextmanager
    def arriving(self, peer: str | None, size: int) -> Iterator[None]:
        """Around a request whose body of `size` bytes is still to come. Raises `Overloaded` and `NotReady`."""
        with ExitStack() as held:
            try:
                self.check_open()
                self._batcher.check_room(peer)
                held.enter_context(self._memory.held(peer, size))
            except (NotReady, Overloaded):
                self._metrics.turned_away.inc()
                raise
            yield

    def check_open(self) -> None:
        """Raises `NotReady` once the daemon goes down."""
        if not self.open:
            raise NotReady("the companion is shutting down")

    async def drain(self) -> None:
        """Take no more requests; return when those that had come in whole are answered."""
        self.open = False
        await self._idle.wait()

    async def infer(self, name: str, request: wire.InferRequest, *, peer: str | None = None) -> wire.InferResponse:
        """Answer a whole-network or tail request; `parameters` say what it took. Raises `CollabError`."""
        self.check_open()
        self._at_work += 1
        self._idle.clear()
        try:
            # More than that is refused in so many words.
            with self._memory.held(peer, min(decoded_bytes(request), self._limits.decoded_bytes)):
                return await self._answer(name, request, peer)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    async def _answer(self, name: str, request: wire.InferRequest, peer: str | None) -> wire.InferResponse:
        check_parameters(request.parameters, _KNOWN)
        model = await self._find(name, request.parameters, peer)
        check_outputs(request.outputs, model.manifest.output)
        with model.lent.in_use(), self._metrics.counted(name, request), self._batcher.admitted(peer):
            start = time.perf_counter()
            work, decode_s = await self._decoding.work_of(peer, request, model, self._limits)
            waited_s = time.perf_counter() - start - decode_s
            done = await self._batcher.submit(work, peer)
        done = replace(done, queue_s=waited_s + done.queue_s)
        self._metrics.answered(queue_s=done.queue_s, compute_s=done.compute_s)
        outputs = [wire.Tensor.from_array(output, done.outputs[output]) for output in work.outputs]
        outputs = as_asked(outputs, request.outputs, model.manifest.labels)
        return wire.InferResponse(
            name, MODEL_VERSION, outputs, id=request.id, parameters=self._report(model, done, decode_s)
        )

    async def _find(self, name: str, parameters: Mapping[str, Any], peer: str | None) -> CloudModel:
        digest = parameters.get("digest")
        if digest is None:
            return await self._models.by_name(name, peer)
        if not isinstance(digest, str):
            raise InvalidRequest(f"digest must be text, not {digest!r}")
        model = await self._models.by_digest(digest, peer)
        if model.manifest.name != name:
            raise InvalidRequest(f"{digest} is the digest of {model.manifest.name}, not of {name[:80]!r}")
        return model

    def _report(self, model: CloudModel, done: Done, decode_s: float) -> dict[str, Any]:
        known = {} if self._load.value is None else {"load": self._load.value}
        return known | {
            "digest": model.digest,
            "queue_ms": round(done.queue_s * 1e3, 4),
            "decode_ms": round(decode_s * 1e3, 4),
            "compute_ms": round(done.compute_s * 1e3, 4),
            "batch": done.batch,
            "slowdown": self._load.slowdown,
        }


def _metadata(info: TensorInfo) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in info.shape]
    return {"name": info.name, "datatype": wire.datatype_of(info.dtype), "shape": shape}
