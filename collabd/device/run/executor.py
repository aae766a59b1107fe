"""Runs jobs step by step. When the companion is late or fails, the device finishes from the tensors at the cut."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collab_sdk.vocabulary import Fallback
from collabd.codec import CodecError
from collabd.device.companions.answers import Question, RemoteAnswer, Tensors
from collabd.device.companions.companion import Companion
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, HEADER_BYTES
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Crossing, Job, JobStep, Phase
from collabd.device.lane.lane import Claim, Lane, LanePart
from collabd.device.run.compute import Compute
from collabd.device.run.features import checked
from collabd.engine import Stop
from collabd.planning import Wait, expected_wait, local_start_s, lost_after_s
from collabd.planning.candidates import SOURCE

log = logging.getLogger(__name__)

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

    async def run(
        self, job: Job, image: CallImage, record: CallRecord
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Run the job for this image, fill in `record`, and return the output of the network, float32 [1, labels].

        Raises `InvalidImage`. Raises `CompanionUnavailable` when the companion fails and the job forbids the device to
        finish.
        """
        return await _Run(self, job, image, record=record).output()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A companion that is asked for a step.

    `work_s`: the profiled seconds of the companion's own work for the step, without queue and link. `began`: when the
    device began to ask.
    """

    step: JobStep
    crossing: Crossing
    companion: Companion
    answer: asyncio.Task[RemoteAnswer]
    wait: Wait
    sent_bytes: int
    work_s: float
    began: float


@dataclass(slots=True)
class _Work:
    """A part of the work of a call on the lane. It adds tensors to those known.

    `profiled_s`: how long an idle device takes for the layers that the part runs; None: it runs none.

    `letters`: the layers that the part runs, as in a placement.
    """

    phase: Phase
    work: Callable[[Tensors, Stop], None]
    expect_s: float = 0.0
    _: KW_ONLY
    setup: Callable[[Tensors], None] | None = None
    profiled_s: float | None = None
    letters: str = ""


# The tensors to compute, from those known.
_OutputsOf: TypeAlias = Callable[[Tensors], tuple[str, ...]]


class _Run:
    """One job under way."""

    claim: Claim

    def __init__(self, executor: Executor, job: Job, image: CallImage, *, record: CallRecord) -> None:
        self.executor = executor
        self.job = job
        self.image = image
        self.record = record
        # All tensors known so far. A failure of the companion removes none of them.
        self.tensors: Tensors = {}
        # When the answer is due, in seconds on the clock of the record. None: the call has no deadline.
        self.due_s = None if job.deadline_s is None else record.started + job.deadline_s

    async def output(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with self.executor.lane.claimed(self.due_s, self.job.here_s) as self.claim:
            await self._all_steps()
        self.record.latency_s = self.record.clock() - self.record.started
        return np.asarray(self.tensors[self.job.model.manifest.output], np.float32)

    async def _all_steps(self) -> None:
        """Run the steps. What the device does between two crossings is one piece of work on the lane."""
        here: list[_Work] = []
        prepared = False
        for step in self.job.steps:
            crossing = step.crossing
            if not prepared and (crossing is None or crossing.codec != SOURCE):
                here.append(self._preparing())
                prepared = True
            if crossing is None:
                here.append(self._layers(partial(self._outputs, step), "head", step.run_s, letters=step.stage.letters))
                continue
            here, before = [], here
            if await self._there(step, crossing, before):
                return
            # The answer of a companion that was sent the file holds all that the next step needs.
            prepared = True
        await self._on_lane(here)

    def _preparing(self) -> _Work:
        image, manifest, prepare = self.image, self.job.model.manifest, self.executor.compute.prepare_image

        def work(known: Tensors, _: Stop) -> None:
            known[manifest.input] = prepare(image, manifest.preprocessing)

        return _Work("prep", work, self.job.prep_s)

    def _layers(self, outputs_of: _OutputsOf, phase: Phase, profiled_s: float, *, letters: str = "") -> _Work:
        """Run layers on this device. `outputs_of` is asked when the work before is done."""
        compute, key = self.executor.compute, self.job.model.key

        def setup(known: Tensors) -> None:
            outputs = outputs_of(known)
            compute.prepare_layers(key, tuple(self._needed(known, outputs)), outputs)

        def work(known: Tensors, stop: Stop) -> None:
            outputs = outputs_of(known)
            known |= compute.run_layers(key, self._needed(known, outputs), outputs, stop=stop)

        expect_s = profiled_s * self.job.slow
        return _Work(phase, work, expect_s, setup=setup, profiled_s=profiled_s, letters=letters)

    async def _on_lane(self, works: Sequence[_Work]) -> None:
        """Run works of this call on the lane, one after the other, as one piece.

        Without works nothing happens. They add to a copy of the known tensors. So a tail that was overtaken, and is
        stopping, changes nothing here.
        """
        if not works:
            return
        record, known, expect_s = self.record, self.tensors.copy(), sum(work.expect_s for work in works)
        parts = [LanePart(partial(work.work, known), work.setup and partial(work.setup, known)) for work in works]
        all_timed = await self.executor.lane.run_parts(parts, expect_s=expect_s, due_s=self.due_s, claim=self.claim)
        self.tensors = known
        for work, timed in zip(works, all_timed, strict=True):
            record.phases[work.phase] += timed.seconds
            record.lane_s += timed.waited_s
            record.ran += work.letters
            if work.profiled_s is not None and self.job.profiled:
                record.speed_here.append((timed.seconds, work.profiled_s))

    def _outputs(self, step: JobStep, known: Tensors) -> tuple[str, ...]:
        """The tensors that the step must produce and that are not known yet."""
        return tuple(name for name in self.job.model.frontiers[step.stage.last - 1] if name not in known)

    def _needed(self, known: Tensors, outputs: tuple[str, ...]) -> Tensors:
        return {name: known[name] for name in self.job.model.needed(tuple(known), outputs)}

    async def _there(self, step: JobStep, crossing: Crossing, before: Sequence[_Work]) -> bool:
        """Do the work `before` the crossing, and get the outputs of the step from the companion.

        Returns whether the device has finished the network instead.
        """
        companion = self.job.companion
        if companion is None:
            await self._on_lane(before)
            return await self._give_up(step, crossing, self.job.alone)
        inputs = await self._encoded(crossing, partial(self._outputs, step), before)
        asks = self.record.clock()
        outputs = self._outputs(step, self.tensors)
        if isinstance(inputs, Exception):
            return await self._give_up(step, crossing, f"the features cannot be sent: {_said(inputs)}")
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
            return await self._raced(
                _Asked(
                    step=step,
                    crossing=crossing,
                    companion=companion,
                    answer=answer,
                    wait=wait,
                    sent_bytes=sent_bytes,
                    work_s=work_s,
                    began=asks,
                )
            )
        finally:
            answer.cancel()

    async def _raced(self, asked: _Asked) -> bool:
        """Give the companion its time. After that the device starts as well, and the first to finish wins.

        Returns whether that is the device.
        """
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
                self._take(asked, answer.result())
                return False
            waited_s = self.record.clock() - sent
            why = _why(answer, waited_s)
            late = answer.done() or asked.wait.longer_than(waited_s) < _LATE
            if not answer.done():
                self._note_unanswered(asked, waited_s, why, late=late)
            if local is None:
                return await self._give_up(asked.step, asked.crossing, why)
            await local
            return self._finished(asked.step, why, degraded=late)
        finally:
            if local is not None:
                local.cancel()
            # Its error refers to this frame: only the garbage collector would free the call.
            del local

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
        there_s = answer.link_s + answer.queue_s + answer.decode_s + answer.compute_s
        record.asking_s += max(record.clock() - asked.began - there_s, 0.0)
        record.air_s += companion.air_s(answer.link_s)
        record.bytes_up += answer.bytes_up
        record.bytes_down += answer.bytes_down
        record.cost += companion.cost(answer.bytes_up + answer.bytes_down, answer.compute_s)
        record.ran += asked.step.stage.letters
        # A tail takes longer in a batch, which says nothing about the speed of the companion.
        if self.job.profiled and answer.batch == 1:
            record.speed_there.append((answer.compute_s, asked.step.run_s))
        self.tensors |= answer.outputs

    async def _encoded(
        self, crossing: Crossing, outputs_of: _OutputsOf, before: Sequence[_Work]
    ) -> list[wire.Tensor] | Exception:
        """Do the work `before`, and encode what the companion needs. Returns the error if encoding fails."""
        model, encode = self.job.model, self.executor.compute.encode
        encoded: list[wire.Tensor] | Exception = []

        def work(known: Tensors, _: Stop) -> None:
            nonlocal encoded
            encoded = _or_error(lambda: encode(self._needed(known, outputs_of(known)), crossing, model))

        if crossing.codec == SOURCE:
            await self._on_lane(before)
            return _or_error(lambda: [self.image.as_file(model.manifest.input)])
        await self._on_lane([*before, _Work("encode", work)])
        return encoded

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

    async def _give_up(self, step: JobStep, crossing: Crossing, why: str) -> bool:
        """Finish the call on the device, if it may. Returns true."""
        if self.job.fallback == Fallback.FAIL:
            raise CompanionUnavailable(f"{why}, and the call said fallback=fail")
        await self._finish(crossing)
        return self._finished(step, why, degraded=True)

    async def _finish(self, crossing: Crossing) -> None:
        """Compute the output of the network on the device, from the tensors at hand."""
        output = self.job.model.manifest.output
        with self.executor.lane.claimed(self.claim.due_s, self._rest_s(crossing)):
            works = [self._layers(lambda _: (output,), "local_tail", crossing.rest_s)]
            await self._on_lane(works if self.tensors else [self._preparing(), *works])

    def _finished(self, step: JobStep, why: str, *, degraded: bool) -> bool:
        self.record.ran += "D" * (len(self.job.model.manifest.layers) - step.stage.first)
        self.record.why, self.record.degraded = why, degraded
        return True


def _or_error(encode: Callable[[], list[wire.Tensor]]) -> list[wire.Tensor] | Exception:
    """What `encode` returns or raises. Whatever it raises, the device can still finish the call.

    The error comes without its frames: they refer to the call, which keeps the error, so that only the garbage
    collector would free both.
    """
    try:
        return encode()
    except CodecError as error:
        return error.with_traceback(None)
    except Exception as error:
        log.exception("encoding the features failed for an unexpected reason")
        return error.with_traceback(None)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, CodecError) else repr(error)


def _why(answer: asyncio.Task[RemoteAnswer], waited_s: float) -> str:
    if not answer.done():
        return f"the companion did not answer within {waited_s * 1e3:.0f} ms"
    return str(answer.exception())
