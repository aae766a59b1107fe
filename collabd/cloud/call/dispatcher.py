"""One request, for a whole network or a tail, from its tensors to its answer. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, NotReady, Overloaded
from collab_sdk.result import MODEL_VERSION
from collabd.cloud.call.answer_coding import AnswerCoding
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.decoding_threads import DecodingThreads
from collabd.cloud.call.places import Places, QueuePlace
from collabd.cloud.call.request_memory import RequestMemory
from collabd.cloud.call.work import Done, RequestLimits, Work, decoded_bytes, in_fp32
from collabd.cloud.counters import CloudCounters
from collabd.cloud.load_meter import LoadMeter
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.model import CloudModel
from collabd.engine import EngineError
from collabd.http.parameters import PACKED, as_asked, check_outputs, check_parameters

_KNOWN = ("digest", "precision")


class CloudDispatcher:
    """Answers requests. Inputs are decoded, and large answers coded, while the engine runs other requests."""

    def __init__(
        self,
        *,
        models: CloudModels,
        places: Places,
        batcher: Batcher,
        decoding: DecodingThreads,
        coding: AnswerCoding,
        limits: RequestLimits,
        counters: CloudCounters,
        load: LoadMeter,
        memory: RequestMemory,
    ) -> None:
        self._models = models
        self._places = places
        self._batcher = batcher
        self._decoding = decoding
        self._coding = coding
        self._limits = limits
        self._counters = counters
        self._load = load
        self._memory = memory
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # False once the daemon stops: requests that run are finished.
        self.open = True
        # True once it is about to stop: load balancers are told to send no more, and what comes is still answered.
        self.parting = False

    @contextmanager
    def arriving(self, peer: str | None, size: int, patience_s: float | None = None) -> Iterator[None]:
        """Around a request, before its body of `size` bytes is read. Raises `Overloaded`, `NotReady`.

        `patience_s`: for how long it may wait for others at most; None: as long as it takes.
        """
        self._counters.arrived += 1
        with ExitStack() as held:
            try:
                self.check_open()
                self._places.check_room(peer, patience_s)
                held.enter_context(self._memory.held(peer, size))
            except (NotReady, Overloaded):
                self._counters.refused += 1
                self._counters.turned_away.inc()
                raise
            yield

    @property
    def ready(self) -> bool:
        """Whether load balancers shall send requests."""
        return self.open and not self.parting

    @property
    def slowdown(self) -> float:
        """How many times longer a run takes now than alone on all cores: for what else runs, here and in lanes."""
        return round(self._load.slowdown * self._batcher.slowdown, 4)

    def check_open(self) -> None:
        """Raises `NotReady` once the daemon stops."""
        if not self.open:
            raise NotReady("the companion is shutting down")

    async def drain(self) -> None:
        """Take no more requests; return when all that were complete are answered."""
        self.open = False
        await self._idle.wait()

    async def infer(self, name: str, request: wire.InferRequest, *, peer: str | None = None) -> wire.InferResponse:
        """Answer a whole-network or tail request; `parameters` say what it took. Raises `CollabError`."""
        self.check_open()
        self._load.attention.pay()
        self._at_work += 1
        self._idle.clear()
        try:
            # A larger request is refused later, with a message that says why.
            with self._memory.held(peer, min(decoded_bytes(request), self._limits.decoded_bytes)):
                return await self._answer(name, request, peer)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    async def _answer(self, name: str, request: wire.InferRequest, peer: str | None) -> wire.InferResponse:
        check_parameters(request.parameters, _KNOWN)
        model = await self._find(name, request.parameters, peer)
        check_outputs(request.outputs, model.scores)
        with model.lent.in_use(), self._counters.counted(name, request), self._places.held(peer) as place:
            start = time.perf_counter()
            alone = self._at_work == 1
            work, decode_s = await self._decoding.work_of(peer, request, model, limits=self._limits, alone=alone)
            waited_s = time.perf_counter() - start - decode_s
            work, done = await self._computed(model, work, place)
        done = replace(done, queue_s=waited_s + done.queue_s)
        self._counters.answered(name, queue_s=done.queue_s, decode_s=decode_s, compute_s=done.compute_s)
        packed = {output.name for output in request.outputs if output.parameters.get("codec") == PACKED["codec"]}
        outputs = await self._coding.tensors(done.outputs, work.outputs, packed)
        outputs = as_asked(outputs, request.outputs, model.manifest.labels)
        return wire.InferResponse(
            name, MODEL_VERSION, outputs, id=request.id, parameters=self._report(model, work, done, decode_s=decode_s)
        )

    async def _computed(self, model: CloudModel, work: Work, place: QueuePlace) -> tuple[Work, Done]:
        """What was computed. Where a reduced precision fails, that is the same in fp32."""
        began = time.perf_counter()
        try:
            return work, await self._batcher.submit(work, place)
        except EngineError as error:
            if not work.precision.is_reduced:
                raise
            reason = str(error)
        safe = in_fp32(work, model)
        done = await self._batcher.submit(safe, place)
        # Only now is it known that the work itself was not to blame.
        self._models.give_up(model, work.precision, reason)
        return safe, replace(done, queue_s=time.perf_counter() - began - done.compute_s)

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

    def _report(self, model: CloudModel, work: Work, done: Done, *, decode_s: float) -> dict[str, Any]:
        known = {} if self._load.value is None else {"load": self._load.value}
        return known | {
            "digest": model.digest,
            "precision": work.precision,
            "queue_ms": round(done.queue_s * 1e3, 4),
            "decode_ms": round(decode_s * 1e3, 4),
            "compute_ms": round(done.compute_s * 1e3, 4),
            "batch": done.batch,
            "slowdown": self.slowdown,
        }
