"""Runs jobs step by step; when the companion is late or fails, finishes from the tensors at the cut."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collab_sdk.vocabulary import Fallback
from collabd.codec import CodecError
from collabd.device.companions.answers import Question, RemoteAnswer, Tensors
from collabd.device.companions.companion import Companion
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, HEADER_BYTES
from collabd.device.job.job import CallRecord, Crossing, Job, JobStep
from collabd.device.job.placement import outputs_of
from collabd.device.lane.claims import Claim
from collabd.device.lane.lane import Lane, Timed
from collabd.device.lane.turns import due_at
from collabd.device.run.features import checked, encode_features, size
from collabd.engine import Engine
from collabd.planning import Wait, expected_wait, local_start_s, lost_after_s
from collabd.planning.candidates import SOURCE

log = logging.getLogger(__name__)

# How long a call without a deadline waits that may not be finished here.
_PATIENT_S = 10.0
# An answer of which so few take as long is late; until then the device, racing it, is just the faster of the two.
_LATE = 0.05


@dataclass(frozen=True)
class Executor:
    """Runs jobs on an engine and a lane. `hedge_price`: see `planning.local_start_s`."""

    engine: Engine
    lane: Lane
    hedge_price: float

    async def run(self, job: Job, record: CallRecord) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """The network's output, float32 [1, labels]; fills in `record`.

        Raises `InvalidImage`, and `CompanionUnavailable` where the job forbids to finish locally.
        """
        return await _Run(self, job, record).output()


@dataclass
class _Run:
    """One job under way. `tensors`: all that is known so far, which no failure takes away."""

    executor: Executor
    job: Job
    record: CallRecord
    tensors: Tensors = field(default_factory=dict)
    claim: Claim = field(init=False)

    async def output(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        due_s = due_at(self.record.clock(), self._due_s())
        with self.executor.lane.claims.made(due_s, self.job.here_s) as self.claim:
            return await self._output()

    async def _output(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        output = self.job.model.manifest.output
        for step in self.job.steps:
            if not self.tensors and (step.crossing is None or step.crossing.codec != SOURCE):
                await self._prepare()
            if step.crossing is None:
                await self._here(step)
            else:
                await self._there(step, step.crossing)
            if output in self.tensors:
                break
        return np.asarray(self.tensors[output], np.float32)

    async def _prepare(self) -> None:
        job = self.job
        timed = await self.executor.lane.run(
            lambda _: job.photo.prepare(job.model.manifest.preprocessing), expect_s=job.prep_s, due_s=self._due_s()
        )
        self._ran("prep_s", timed)
        self.tensors[job.model.manifest.input] = timed.value

    async def _here(self, step: JobStep) -> None:
        self.tensors |= await self._layers(outputs_of(step.stage, self.job.model.manifest), "head_s", step.run_s)
        self.record.ran += "D" * step.stage.layers

    async def _layers(self, outputs: tuple[str, ...], phase: str, profiled_s: float) -> Tensors:
        engine, key = self.executor.engine, self.job.model.key
        outputs = tuple(name for name in outputs if name not in self.tensors)
        feeds = self._needed(outputs)
        timed = await self.executor.lane.run(
            lambda stop: engine.run(key, feeds, outputs, stop=stop),
            expect_s=profiled_s * self.job.slow,
            due_s=self._due_s(),
            setup=lambda: engine.prepare(key, tuple(feeds), outputs),
        )
        self._ran(phase, timed)
        if self.job.profiled:
            self.record.speed_here.append((timed.seconds, profiled_s))
        return timed.value

    def _ran(self, phase: str, timed: Timed[Any]) -> None:
        self.record.add(phase, timed.seconds)
        self.record.lane_s += timed.waited_s
        self.claim.ran(timed.seconds)

    def _needed(self, outputs: tuple[str, ...]) -> Tensors:
        return {name: self.tensors[name] for name in self.job.model.needed(tuple(self.tensors), outputs)}

    async def _there(self, step: JobStep, crossing: Crossing) -> None:
        """The step's outputs from the companion; or the network's output, finished here."""
        companion = self.job.companion
        if companion is None:
            return await self._give_up(step, crossing, self.job.alone)
        outputs = tuple(name for name in outputs_of(step.stage, self.job.model.manifest) if name not in self.tensors)
        try:
            inputs = await self._encode(crossing, outputs)
        except CodecError as error:
            return await self._give_up(step, crossing, f"the features cannot be sent: {error}")
        except Exception as error:
            log.exception("encoding the features failed for a reason that is none of the expected")
            return await self._give_up(step, crossing, f"the features cannot be sent: {error!r}")
        wait = self._expected_wait(companion, step, size(inputs), outputs)
        remote = asyncio.create_task(companion.infer(self._question(inputs, outputs)))
        try:
            await self._raced(step, crossing, companion, remote, wait, size(inputs))
        finally:
            remote.cancel()

    async def _raced(
        self,
        step: JobStep,
        crossing: Crossing,
        companion: Companion,
        remote: asyncio.Task[RemoteAnswer],
        wait: Wait,
        sent_bytes: int,
    ) -> None:
        """The companion has its time; from then on whoever finishes first wins."""
        sent, prepared_s = self.record.clock(), self.record.prep_s
        with self._promised(crossing) as must_start:
            patience_s = self._patience_s(crossing, wait)
            either: tuple[asyncio.Future[Any], ...] = (remote, must_start)
            await asyncio.wait(either, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        races = not remote.done() and self.job.fallback == Fallback.LOCAL
        local = asyncio.create_task(self._finish(crossing)) if races else None
        started = self.record.clock()
        try:
            if local is not None:
                await asyncio.wait({remote, local}, return_when=asyncio.FIRST_COMPLETED)
            if remote.done() and remote.exception() is None:
                self.record.overtaken_s += 0.0 if local is None else self.record.clock() - started
                # Phases follow one another: what ran here beside the exchange is none.
                self.record.prep_s, self.record.local_tail_s = prepared_s, None
                return self._take(step, companion, remote.result())
            waited_s = self.record.clock() - sent
            why = _why(remote, waited_s)
            late = remote.done() or wait.longer_than(waited_s) < _LATE
            if not remote.done():
                lost = waited_s >= lost_after_s(wait)
                link_s = waited_s - step.work_s
                companion.note_late(why, sent_bytes, link_s, late=late, lost=lost)
                # The companion may have all of it by now, and do the work.
                cost = companion.cost(sent_bytes, step.work_s)
                self.record.note_unanswered(sent_bytes, air_s=companion.air_s(link_s), cost=cost)
            if local is None:
                return await self._give_up(step, crossing, why)
            self._finished(step, await local, why, degraded=late)
        finally:
            if local is not None:
                local.cancel()

    def _take(self, step: JobStep, companion: Companion, answer: RemoteAnswer) -> None:
        cost = companion.cost(answer.bytes_up + answer.bytes_down, answer.compute_s)
        self.record.note_answer(answer, air_s=companion.air_s(answer.link_s), cost=cost)
        self.record.ran += "C" * step.stage.layers
        # In a batch a tail takes longer, and by no fault of the companion.
        if self.job.profiled and answer.batch == 1:
            self.record.speed_there.append((answer.compute_s, step.run_s))
        self.tensors |= answer.outputs

    async def _encode(self, crossing: Crossing, outputs: tuple[str, ...]) -> list[wire.Tensor]:
        model = self.job.model
        if crossing.codec == SOURCE:
            return [self.job.photo.as_file(model.manifest.input)]
        features = self._needed(outputs)
        timed = await self.executor.lane.run(lambda _: encode_features(features, crossing, model), due_s=self._due_s())
        self._ran("encode_s", timed)
        return timed.value

    def _question(self, inputs: list[wire.Tensor], outputs: tuple[str, ...]) -> Question:
        model = self.job.model
        return Question(
            model=model.manifest.name,
            digest=model.digest,
            inputs=inputs,
            outputs=outputs,
            bytes_down=self._bytes_down(outputs),
            check=lambda arrays: checked(model, arrays, outputs),
        )

    def _bytes_down(self, outputs: tuple[str, ...]) -> int:
        return sum(self.job.model.network.tensor(name).nbytes for name in outputs)

    def _expected_wait(self, companion: Companion, step: JobStep, sent_bytes: int, outputs: tuple[str, ...]) -> Wait:
        returned = self._bytes_down(outputs) + ENVELOPE_DOWN_BYTES + HEADER_BYTES
        cloud = companion.state_for(self.job.model.digest)
        return expected_wait(cloud, up_bytes=sent_bytes, down_bytes=returned, work_s=step.work_s)

    def _promised(self, crossing: Crossing) -> AbstractContextManager[asyncio.Future[None]]:
        """Around the wait: done when the tail must start here, lest the calls that wait now miss their deadlines."""
        due_s = self._due_s()
        if due_s is None or self.job.fallback != Fallback.LOCAL:
            return nullcontext(asyncio.get_running_loop().create_future())
        return self.executor.lane.promises.made(due_s, self.job.rest_s(crossing))

    def _due_s(self) -> float | None:
        """When the answer must be there, on the record's clock."""
        deadline_s = self.job.deadline_s
        if deadline_s is None:
            return None
        return self.record.clock() + deadline_s - self.record.elapsed_s()

    def _patience_s(self, crossing: Crossing, wait: Wait) -> float:
        job = self.job
        left_s = None if job.deadline_s is None else job.deadline_s - self.record.elapsed_s()
        if job.fallback == Fallback.FAIL:
            # There is nothing to start here, so nothing is won by giving up early.
            latest_s = max(_PATIENT_S, lost_after_s(wait)) if left_s is None else left_s
            return latest_s if latest_s > 0 else wait.median_s
        # What the lane does for this call alone, others would have to wait for.
        spares = job.sparing or self.executor.lane.busy
        price = None if spares else self.executor.hedge_price
        return local_start_s(deadline_s=left_s, local_tail_s=job.rest_s(crossing), wait=wait, price=price)

    async def _give_up(self, step: JobStep, crossing: Crossing, why: str) -> None:
        if self.job.fallback == Fallback.FAIL:
            raise CompanionUnavailable(f"{why}, and the call said fallback=fail")
        self._finished(step, await self._finish(crossing), why, degraded=True)

    async def _finish(self, crossing: Crossing) -> Tensors:
        """The network's output from the tensors at hand."""
        with self.executor.lane.claims.made(self.claim.due_s, self.job.rest_s(crossing)):
            if not self.tensors:
                await self._prepare()
            return await self._layers((self.job.model.manifest.output,), "local_tail_s", crossing.rest_s)

    def _finished(self, step: JobStep, outputs: Tensors, why: str, *, degraded: bool) -> None:
        self.tensors |= outputs
        self.record.ran += "D" * (len(self.job.model.manifest.layers) - step.stage.first)
        self.record.why, self.record.degraded = why, degraded


def _why(remote: asyncio.Task[RemoteAnswer], waited_s: float) -> str:
    if not remote.done():
        return f"the companion did not answer within {waited_s * 1e3:.0f} ms"
    return str(remote.exception())
