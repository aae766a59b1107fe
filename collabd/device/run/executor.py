"""Runs jobs step by step. When the companion is late or fails, the device finishes from the tensors at the cut."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collab_sdk.vocabulary import Fallback
from collabd.codec import CodecError
from collabd.device.companions.answers import Question, RemoteAnswer, Tensors
from collabd.device.companions.companion import Companion
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, HEADER_BYTES
from collabd.device.job.job import CallRecord, Crossing, Job, JobStep, Phase
from collabd.device.lane.lane import Claim, Lane, Timed
from collabd.device.run.compute import Compute
from collabd.device.run.features import checked
from collabd.engine import Stop
from collabd.planning import Wait, expected_wait, local_start_s, lost_after_s
from collabd.planning.candidates import SOURCE

log = logging.getLogger(__name__)

T = TypeVar("T")

# A call that has no deadline and may not finish on the device waits at least this many seconds for the companion.
_PATIENT_S = 10.0
# An answer is late when less than this share of answers takes as long. Before that, a device that finishes first is
# only the faster of the two, and the companion is not at fault.
_LATE = 0.05


@dataclass(frozen=True)
class Executor:
    """Runs jobs on a lane. `hedge_price`: see `planning.local_start_s`."""

    compute: Compute
    lane: Lane
    hedge_price: float

    async def run(self, job: Job, record: CallRecord) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Run the job, fill in `record`, and return the output of the network, float32 [1, labels].

        Raises `InvalidImage`. Raises `CompanionUnavailable` when the companion fails and the job forbids the device to
        finish.
        """
        return await _Run(self, job, record).output()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A companion that is asked for a step.

    `work_s`: the profiled seconds of the companion's own work for the step, without queue and link.
    """

    step: JobStep
    crossing: Crossing
    companion: Companion
    answer: asyncio.Task[RemoteAnswer]
    wait: Wait
    sent_bytes: int
    work_s: float


class _Run:
    """One job under way."""

    claim: Claim

    def __init__(self, executor: Executor, job: Job, record: CallRecord) -> None:
        self.executor = executor
        self.job = job
        self.record = record
        # All tensors known so far. A failure of the companion removes none of them.
        self.tensors: Tensors = {}
        # When the answer is due, in seconds on the clock of the record. None: the call has no deadline.
        self.due_s = None if job.deadline_s is None else record.started + job.deadline_s

    async def output(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with self.executor.lane.claimed(self.due_s, self.job.here_s) as self.claim:
            output = await self._output()
        self.record.latency_s = self.record.clock() - self.record.started
        return output

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
        image, manifest, prepare = self.job.image, self.job.model.manifest, self.executor.compute.prepare_image
        timed = await self._on_lane("prep", lambda _: prepare(image, manifest.preprocessing), self.job.prep_s)
        self.tensors[manifest.input] = timed.value

    async def _here(self, step: JobStep) -> None:
        self.tensors |= await self._layers(self._outputs(step), "head", step.run_s)
        self.record.ran += step.stage.letters

    async def _layers(self, outputs: tuple[str, ...], phase: Phase, profiled_s: float) -> Tensors:
        compute, key = self.executor.compute, self.job.model.key
        feeds = self._needed(outputs)
        timed = await self._on_lane(
            phase,
            lambda stop: compute.run_layers(key, feeds, outputs, stop=stop),
            profiled_s * self.job.slow,
            setup=partial(compute.prepare_layers, key, tuple(feeds), outputs),
        )
        if self.job.profiled:
            self.record.speed_here.append((timed.seconds, profiled_s))
        return timed.value

    async def _on_lane(
        self,
        phase: Phase,
        work: Callable[[Stop], T],
        expect_s: float = 0.0,
        *,
        setup: Callable[[], None] | None = None,
    ) -> Timed[T]:
        """Run one phase of this call on the lane."""
        timed = await self.executor.lane.run(work, expect_s=expect_s, due_s=self.due_s, claim=self.claim, setup=setup)
        self.record.phases[phase] += timed.seconds
        self.record.lane_s += timed.waited_s
        return timed

    def _outputs(self, step: JobStep) -> tuple[str, ...]:
        """The tensors that the step must produce and that are not known yet."""
        return tuple(name for name in self.job.model.frontiers[step.stage.last - 1] if name not in self.tensors)

    def _needed(self, outputs: tuple[str, ...]) -> Tensors:
        return {name: self.tensors[name] for name in self.job.model.needed(tuple(self.tensors), outputs)}

    async def _there(self, step: JobStep, crossing: Crossing) -> None:
        """Get the outputs of the step from the companion, or finish the network on the device."""
        companion = self.job.companion
        if companion is None:
            return await self._give_up(step, crossing, self.job.alone)
        outputs = self._outputs(step)
        try:
            inputs = await self._encode(crossing, outputs)
        except CodecError as error:
            return await self._give_up(step, crossing, f"the features cannot be sent: {error}")
        except Exception as error:
            log.exception("encoding the features failed for an unexpected reason")
            return await self._give_up(step, crossing, f"the features cannot be sent: {error!r}")
        question, work_s = self._question(inputs, outputs), step.run_s + crossing.decode_s
        sent_bytes = sum(len(tensor.data) for tensor in inputs)
        wait = expected_wait(
            companion.state_for(question.digest),
            up_bytes=sent_bytes,
            down_bytes=question.bytes_down + ENVELOPE_DOWN_BYTES + HEADER_BYTES,
            work_s=work_s,
        )
        answer = asyncio.create_task(companion.infer(question))
        try:
            await self._raced(
                _Asked(
                    step=step,
                    crossing=crossing,
                    companion=companion,
                    answer=answer,
                    wait=wait,
                    sent_bytes=sent_bytes,
                    work_s=work_s,
                )
            )
        finally:
            answer.cancel()

    async def _raced(self, asked: _Asked) -> None:
        """Give the companion its time. After that the device starts as well, and the first to finish wins."""
        answer, sent, phases = asked.answer, self.record.clock(), self.record.phases.copy()
        with self._promised(asked.crossing) as must_start:
            patience_s = self._patience_s(asked.crossing, asked.wait)
            either: tuple[asyncio.Future[Any], ...] = (answer, must_start)
            await asyncio.wait(either, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        races = not answer.done() and self.job.fallback == Fallback.LOCAL
        local = asyncio.create_task(self._finish(asked.crossing)) if races else None
        started = self.record.clock()
        try:
            if local is not None:
                await asyncio.wait({answer, local}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and answer.exception() is None:
                self.record.overtaken_s += 0.0 if local is None else self.record.clock() - started
                # Phases follow one another, so work that the device did during the exchange is not a phase.
                self.record.phases = phases
                return self._take(asked, answer.result())
            waited_s = self.record.clock() - sent
            why = _why(answer, waited_s)
            late = answer.done() or asked.wait.longer_than(waited_s) < _LATE
            if not answer.done():
                self._note_unanswered(asked, waited_s, why, late=late)
            if local is None:
                return await self._give_up(asked.step, asked.crossing, why)
            self._finished(asked.step, await local, why, degraded=late)
        finally:
            if local is not None:
                local.cancel()

    def _note_unanswered(self, asked: _Asked, waited_s: float, why: str, *, late: bool) -> None:
        companion, link_s = asked.companion, waited_s - asked.work_s
        companion.note_late(why, asked.sent_bytes, link_s, late=late, lost=waited_s >= lost_after_s(asked.wait))
        self.record.air_s += companion.air_s(link_s)
        # The companion may have received everything by now and may do the work, so the call pays for both.
        self.record.bytes_up += asked.sent_bytes
        self.record.cost += companion.cost(asked.sent_bytes, asked.work_s)

    def _take(self, asked: _Asked, answer: RemoteAnswer) -> None:
        record, companion = self.record, asked.companion
        record.phases["link"] += answer.link_s
        record.phases["queue"] += answer.queue_s
        record.phases["decode"] += answer.decode_s
        record.phases["tail"] += answer.compute_s
        record.air_s += companion.air_s(answer.link_s)
        record.bytes_up += answer.bytes_up
        record.bytes_down += answer.bytes_down
        record.cost += companion.cost(answer.bytes_up + answer.bytes_down, answer.compute_s)
        record.ran += asked.step.stage.letters
        # A tail takes longer in a batch, which says nothing about the speed of the companion.
        if self.job.profiled and answer.batch == 1:
            record.speed_there.append((answer.compute_s, asked.step.run_s))
        self.tensors |= answer.outputs

    async def _encode(self, crossing: Crossing, outputs: tuple[str, ...]) -> list[wire.Tensor]:
        model = self.job.model
        if crossing.codec == SOURCE:
            return [self.job.image.as_file(model.manifest.input)]
        features, encode = self._needed(outputs), self.executor.compute.encode
        timed = await self._on_lane("encode", lambda _: encode(features, crossing, model))
        return timed.value

    def _question(self, inputs: list[wire.Tensor], outputs: tuple[str, ...]) -> Question:
        model = self.job.model
        return Question(
            model=model.manifest.name,
            digest=model.digest,
            inputs=inputs,
            outputs=outputs,
            bytes_down=sum(model.network.tensor(name).nbytes for name in outputs),
            check=partial(checked, model, outputs),
        )

    def _promised(self, crossing: Crossing) -> AbstractContextManager[asyncio.Future[None]]:
        """Surrounds the wait. The future is done when the device must start the tail.

        If the tail started later, the calls that are waiting now could miss their deadlines.
        """
        if self.due_s is None or self.job.fallback != Fallback.LOCAL:
            return nullcontext(asyncio.get_running_loop().create_future())
        return self.executor.lane.promises.made(self.due_s, self._rest_s(crossing))

    def _rest_s(self, crossing: Crossing) -> float:
        """Seconds that the device may need for all layers behind the crossing, on a slow run."""
        return crossing.rest_s * self.job.slow + (self.job.prep_s if crossing.codec == SOURCE else 0.0)

    def _patience_s(self, crossing: Crossing, wait: Wait) -> float:
        left_s = None if self.due_s is None else self.due_s - self.record.clock()
        if self.job.fallback == Fallback.FAIL:
            # The device may not finish the call, so giving up early would gain nothing.
            latest_s = max(_PATIENT_S, lost_after_s(wait)) if left_s is None else left_s
            return latest_s if latest_s > 0 else wait.median_s
        # A tail that the lane runs only to be faster would make other calls wait.
        spares = self.job.sparing or self.executor.lane.busy
        price = None if spares else self.executor.hedge_price
        return local_start_s(deadline_s=left_s, local_tail_s=self._rest_s(crossing), wait=wait, price=price)

    async def _give_up(self, step: JobStep, crossing: Crossing, why: str) -> None:
        if self.job.fallback == Fallback.FAIL:
            raise CompanionUnavailable(f"{why}, and the call said fallback=fail")
        self._finished(step, await self._finish(crossing), why, degraded=True)

    async def _finish(self, crossing: Crossing) -> Tensors:
        """Compute the output of the network on the device, from the tensors at hand."""
        with self.executor.lane.claimed(self.claim.due_s, self._rest_s(crossing)):
            if not self.tensors:
                await self._prepare()
            return await self._layers((self.job.model.manifest.output,), "local_tail", crossing.rest_s)

    def _finished(self, step: JobStep, outputs: Tensors, why: str, *, degraded: bool) -> None:
        self.tensors |= outputs
        self.record.ran += "D" * (len(self.job.model.manifest.layers) - step.stage.first)
        self.record.why, self.record.degraded = why, degraded


def _why(answer: asyncio.Task[RemoteAnswer], waited_s: float) -> str:
    if not answer.done():
        return f"the companion did not answer within {waited_s * 1e3:.0f} ms"
    return str(answer.exception())
