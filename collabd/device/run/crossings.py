"""The steps of a call that companions run: who is asked, for how long, and who finishes the call otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import Any

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collab_sdk.vocabulary import Cascade, Fallback
from collabd.codec import CodecError
from collabd.device.companions.answers import Question, RemoteAnswer, Tensors
from collabd.device.companions.companion import Companion
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.overhead import ENVELOPE_DOWN_BYTES, HEADER_BYTES
from collabd.device.job.job import CallRecord, Crossing, JobStep, Phase, SpeedSample, Standby
from collabd.device.run.features import read_outputs
from collabd.device.run.takeover import next_companion
from collabd.device.run.under_way import UnderWay
from collabd.planning import CloudState, Wait, expected_wait, local_start_s, lost_after_s, queue_patience_s

# A call that has no deadline and may not finish on the device waits at least this many seconds for the companion.
_PATIENT_S = 10.0
# An answer is late when less than this share of answers takes as long. Before that, a device that finishes first is
# only the faster of the two, and the companion is not at fault.
_LATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Errand:
    """`place`: of the step among those of the job. `sent_bytes`: of the tensors, as they are encoded."""

    place: int
    crossing: Crossing
    question: Question
    sent_bytes: int

    @property
    def down_bytes(self) -> int:
        """The bytes of an answer."""
        return self.question.bytes_down + ENVELOPE_DOWN_BYTES + HEADER_BYTES

    def step_of(self, standby: Standby) -> JobStep:
        """The step, in this companion's time."""
        return standby.steps[self.place]

    def work_s(self, standby: Standby) -> float:
        """The profiled seconds of this companion's own work, without queue and link."""
        step = self.step_of(standby)
        return step.run_s + (0.0 if step.crossing is None else step.crossing.decode_s)

    def wait(self, standby: Standby, there: CloudState) -> Wait:
        """How long this companion takes to answer, as it is `there` now."""
        return expected_wait(there, up_bytes=self.sent_bytes, down_bytes=self.down_bytes, work_s=self.work_s(standby))


@dataclass(frozen=True, kw_only=True)
class AskedCompanion:
    """A companion that is asked for a step of a call.

    `work_s`: the profiled seconds of the companion's own work for the step, without queue and link. `began`: when
    the device began to ask. `sent`: how many bytes had been sent, each time that some were.
    """

    step: JobStep
    crossing: Crossing
    companion: Companion
    answer: asyncio.Task[RemoteAnswer]
    wait: Wait
    sent_bytes: int
    work_s: float
    began: float
    sent: Sequence[int]

    @property
    def has_answered(self) -> bool:
        """Whether its answer is there."""
        return self.answer.done() and self.answer.exception() is None

    @property
    def has_failed(self) -> bool:
        """Whether there will be no answer."""
        return self.answer.done() and self.answer.exception() is not None

    @property
    def failure(self) -> CompanionFailure | None:
        """What went wrong with the companion; None: nothing has so far."""
        error = self.answer.exception() if self.answer.done() else None
        return error if isinstance(error, CompanionFailure) else None

    @property
    def failed(self) -> str:
        """That it failed, and why, in words."""
        return f"{self.companion.name} failed ({self.answer.exception()})"

    def is_late(self, waited_s: float) -> bool:
        """Whether few answers take as long."""
        return self.wait.longer_than(waited_s) < _LATE

    def why_not(self, waited_s: float) -> str:
        """Why there is no answer after so many seconds."""
        failed = self.answer.exception() if self.answer.done() else None
        return str(failed or f"the companion did not answer within {waited_s * 1e3:.0f} ms")

    def take(self, record: CallRecord, *, profiled: bool) -> Tensors:
        """Its answer is the call's. `profiled`: the step's times were profiled for exactly this run."""
        answer, companion = self.answer.result(), self.companion
        record.phases["link"] += answer.link_s
        record.phases["queue"] += answer.queue_s
        record.phases["decode"] += answer.decode_s
        record.phases["tail"] += answer.compute_s
        there_s = answer.link_s + answer.queue_s + answer.decode_s + answer.compute_s
        record.asking_s += max(record.clock() - self.began - there_s, 0.0)
        record.air_s += companion.air_s(answer.link_s)
        record.bytes_up += answer.bytes_up
        record.bytes_down += answer.bytes_down
        record.cost += companion.cost(answer.bytes_up + answer.bytes_down, answer.compute_s)
        record.ran += self.step.stage.letters
        record.ran_on.append(companion.name)
        record.tail = answer.precision
        as_asked = answer.precision == self.step.precision
        if not as_asked:
            said = f"{companion.name} computed in {answer.precision}, not in {self.step.precision}"
            record.remark = "; ".join(filter(None, (record.remark, said)))
        # A tail takes longer in a batch, which says nothing about the speed of the companion.
        if profiled and answer.batch == 1 and as_asked:
            sample = SpeedSample(answer.compute_s, self.step.run_s, self.step.precision)
            record.speed_there.append((companion, sample))
        return answer.outputs

    def leave_unneeded(self, record: CallRecord, waited_s: float) -> None:
        """Nobody waits for the answer any more. That says nothing of the companion, but what was sent was sent."""
        self.companion.let_go(self.answer, self.sent_bytes, waited_s)
        self._charge(record, self.sent_bytes, self.companion.air_s(waited_s))

    def leave_unanswered(self, record: CallRecord, waited_s: float) -> None:
        """The device has waited for so many seconds, and waits no longer."""
        link_s, late, lost = waited_s - self.work_s, self.is_late(waited_s), waited_s >= lost_after_s(self.wait)
        self.companion.note_late(self.why_not(waited_s), self.sent_bytes, link_s, late=late, lost=lost)
        # The companion may have received everything by now and may do the work, so the call pays for both.
        self._charge(record, self.sent_bytes, self.companion.air_s(link_s))

    def leave_failed(self, record: CallRecord, waited_s: float) -> None:
        """It has failed after so many seconds. What was sent was sent."""
        if not self.sent:
            return
        failure, sent_bytes = self.failure, max(self.sent)
        air_s = min(sent_bytes * self.companion.link_now.up_s_per_byte, waited_s)
        self._charge(record, sent_bytes, air_s, worked=failure is None or failure.may_have_worked)

    def _charge(self, record: CallRecord, sent_bytes: int, air_s: float, *, worked: bool = True) -> None:
        record.air_s += air_s
        record.bytes_up += sent_bytes
        if worked:
            record.cost += self.companion.cost(sent_bytes, self.work_s)


class _End(Enum):
    """How it ended that a companion was asked."""

    ANSWERED = auto()
    # The device has finished the network, or the little network has answered.
    DONE = auto()
    # Nobody has begun to make up for it.
    FAILED = auto()


@dataclass(slots=True)
class Crossings:
    """Those of one call. `hedge_price`: see `planning.local_start_s`."""

    call: UnderWay
    _hedge_price: float
    # The first is asked. Who fails this call is asked no more.
    _companions: list[Standby]

    async def cross(
        self,
        place: int,
        crossing: Crossing,
        *,
        inputs: list[wire.Tensor] | Exception | None,
        outputs: tuple[str, ...],
    ) -> bool:
        """Get `outputs` of the step at this `place` from a companion.

        `inputs`: what it is sent, the error if encoding failed; None: there is no companion. Returns whether the call
        needs none of the further steps.
        """
        call, step = self.call, self.call.job.steps[place]
        began = call.record.clock()
        if inputs is None:
            return await self._give_up(step, crossing, call.job.alone)
        if isinstance(inputs, Exception):
            return await self._give_up(step, crossing, f"the features cannot be sent: {_said(inputs)}")
        sent = self._errand(place, crossing, inputs=inputs, outputs=outputs)
        while True:
            asked = self._ask(self._companions[0], sent, began)
            try:
                end = await self._raced(asked)
            finally:
                if not call.record.little_answered:
                    asked.answer.cancel()
            if end is not _End.FAILED:
                return end is _End.DONE
            if not self._hands_over(asked, sent):
                why = asked.failed if call.record.failures else str(asked.answer.exception())
                return await self._give_up(step, crossing, why)
            began = call.record.clock()

    def _errand(self, place: int, crossing: Crossing, *, inputs: list[wire.Tensor], outputs: tuple[str, ...]) -> Errand:
        model, step = self.call.job.model, self.call.job.steps[place]
        question = Question(
            model=model.manifest.name,
            digest=model.digest,
            inputs=inputs,
            outputs=outputs,
            bytes_down=sum(model.network.tensor(name).nbytes for name in outputs),
            read=partial(read_outputs, model, outputs),
            packed=model.packed,
            precision=step.precision,
        )
        return Errand(
            place=place, crossing=crossing, question=question, sent_bytes=sum(len(tensor.data) for tensor in inputs)
        )

    def _ask(self, standby: Standby, sent: Errand, began: float) -> AskedCompanion:
        there = standby.companion.state_for(sent.question.digest)
        wait = sent.wait(standby, there)
        patience_s = self._queue_patience_s(sent.crossing, wait, there.queue_s)
        step = sent.step_of(standby)
        gone = list[int]()
        question = replace(sent.question, precision=step.precision, patience_s=patience_s, sent=gone.append)
        return AskedCompanion(
            step=step,
            crossing=sent.crossing,
            companion=standby.companion,
            answer=asyncio.create_task(standby.companion.infer(question)),
            wait=wait,
            sent_bytes=sent.sent_bytes,
            work_s=sent.work_s(standby),
            began=began,
            sent=gone,
        )

    def _hands_over(self, asked: AskedCompanion, sent: Errand) -> bool:
        """Whether another companion shall have what this one failed to answer. If so, it is the first from now on."""
        failure = asked.failure
        del self._companions[0]
        # If the tensors are why, others fail as well.
        if failure is None or failure.reason is FailureReason.NOT_FINITE:
            return False
        following = next_companion(self._companions, sent, self)
        if following is None:
            return False
        self._companions.remove(following)
        self._companions.insert(0, following)
        self.call.record.failures.append(asked.failed)
        return True

    async def _raced(self, asked: AskedCompanion) -> _End:
        """Give the companion its time. After that the device starts as well, and the first to finish wins.

        A little network may answer meanwhile.
        """
        call, answer = self.call, asked.answer
        record, sent, phases = call.record, call.record.clock(), call.record.phases.copy()
        with self._promised(asked.crossing) as must_start:
            patience_s = self._patience_s(asked.crossing, asked.wait)
            if self._asks_beside and await self._answered_beside(asked, must_start, patience_s):
                return _End.DONE
            patience_s = max(patience_s - (record.clock() - sent), 0.0)
            either: tuple[asyncio.Future[Any], ...] = (answer, must_start)
            await asyncio.wait(either, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if asked.has_failed:
            asked.leave_failed(record, record.clock() - sent)
            return _End.FAILED
        races = not answer.done() and call.job.fallback == Fallback.LOCAL
        local = asyncio.create_task(self._finish(asked.crossing)) if races else None
        started = record.clock()
        try:
            if local is not None:
                await asyncio.wait({answer, local}, return_when=asyncio.FIRST_COMPLETED)
            if asked.has_answered:
                record.overtaken_s += 0.0 if local is None else record.clock() - started
                # Phases follow one another, so work that the device did during the exchange is not a phase.
                record.overtaken_s += sum(self._beside(phases))
                record.phases = phases
                self._take(asked)
                return _End.ANSWERED
            waited_s = record.clock() - sent
            why, late = asked.why_not(waited_s), answer.done() or asked.is_late(waited_s)
            if asked.has_failed:
                asked.leave_failed(record, waited_s)
            else:
                asked.leave_unanswered(record, waited_s)
            if local is None:
                await self._give_up(asked.step, asked.crossing, why)
                return _End.DONE
            await local
            self._finished(asked.step, asked.crossing, why, degraded=late)
            return _End.DONE
        finally:
            if local is not None:
                local.cancel()
            # Its error refers to this frame: only the garbage collector would free the call.
            del local

    def _take(self, asked: AskedCompanion) -> None:
        call = self.call
        call.tensors |= asked.take(call.record, profiled=call.job.profiled)
        if failures := call.record.failures:
            call.record.why = "; ".join([*failures, f"{asked.companion.name} answered in its place"])
            call.record.degraded = True

    @property
    def _asks_beside(self) -> bool:
        little = self.call.job.little
        return little is not None and little.kind is Cascade.RACED and not self.call.record.failures

    async def _answered_beside(
        self, asked: AskedCompanion, must_start: asyncio.Future[None], patience_s: float
    ) -> bool:
        """Ask the little network until the companion has answered, or the device must start the tail.

        Returns whether it has answered the call. If the companion fails meanwhile, it still may.
        """
        call, record, answer = self.call, self.call.record, asked.answer
        began, little = record.clock(), asyncio.create_task(call.ask_little())
        left_s = None if call.due_s is None else patience_s
        try:
            first: tuple[asyncio.Future[Any], ...] = (little, answer, must_start)
            await asyncio.wait(first, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if asked.has_failed and not little.done():
                left_s = None if left_s is None else max(left_s - (record.clock() - began), 0.0)
                either: tuple[asyncio.Future[Any], ...] = (little, must_start)
                await asyncio.wait(either, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            found = little.result() if little.done() else None
            if found is None or not found.is_sure or asked.has_answered:
                # The companion's own answer costs nothing more, and is the better one.
                record.overtaken_s += 0.0 if little.done() else record.clock() - began
                return False
            call.little_answers(found)
            if asked.has_failed:
                asked.leave_failed(record, record.clock() - began)
            else:
                asked.leave_unneeded(record, record.clock() - began)
            return True
        finally:
            little.cancel()
            del little

    def _beside(self, before: Mapping[Phase, float]) -> Iterator[float]:
        """The seconds that a little network has taken since the phases were these."""
        phases: tuple[Phase, ...] = ("prep", "little")
        return (self.call.record.phases.get(phase, 0.0) - before.get(phase, 0.0) for phase in phases)

    @property
    def left_s(self) -> float | None:
        """Seconds until the answer is due; None: the call has no deadline."""
        return None if self.call.due_s is None else self.call.due_s - self.call.record.clock()

    def rest_s(self, crossing: Crossing, slow: float) -> float:
        """Seconds of this device for all layers behind the crossing, if it takes `slow` times as long as profiled."""
        return crossing.rest_s * slow + (0.0 if self.call.tensors else self.call.job.prep_s)

    def _promised(self, crossing: Crossing) -> AbstractContextManager[asyncio.Future[None]]:
        """Surrounds the wait. The future is done when the device must start the tail.

        If the tail started later, the calls that are waiting now could miss their deadlines.
        """
        call = self.call
        if call.due_s is None or call.job.fallback != Fallback.LOCAL:
            return nullcontext(asyncio.get_running_loop().create_future())
        return call.lane.promises.made(call.due_s, self.rest_s(crossing, self.call.job.slow))

    def _queue_patience_s(self, crossing: Crossing, wait: Wait, queue_s: float) -> float | None:
        """For how long the call may wait in the companion's queue. None: as long as it takes."""
        job, left_s, local_s = self.call.job, self.left_s, self.rest_s(crossing, self.call.job.slow)
        if job.sparing or job.fallback != Fallback.LOCAL or (left_s is not None and left_s < local_s):
            return None
        return queue_patience_s(local_s, wait, queue_s)

    def _patience_s(self, crossing: Crossing, wait: Wait) -> float:
        call, left_s = self.call, self.left_s
        if call.job.fallback == Fallback.FAIL:
            # The device may not finish the call, so giving up early would gain nothing.
            latest_s = max(_PATIENT_S, lost_after_s(wait)) if left_s is None else left_s
            return latest_s if latest_s > 0 else wait.median_s
        # A tail that the lane runs only to be faster would make other calls wait.
        price = None if call.job.sparing or call.lane.busy else self._hedge_price
        rest_s = self.rest_s(crossing, self.call.job.slow)
        return local_start_s(deadline_s=left_s, local_tail_s=rest_s, wait=wait, price=price)

    async def _give_up(self, step: JobStep, crossing: Crossing, why: str) -> bool:
        """Finish the call on the device, if it may. Returns true."""
        if self.call.job.fallback == Fallback.FAIL:
            raise CompanionUnavailable(f"{self._with_failures(why)}, and the call said fallback=fail")
        await self._finish(crossing)
        self._finished(step, crossing, why, degraded=True)
        return True

    async def _finish(self, crossing: Crossing) -> None:
        await self.call.finish(crossing, expect_s=self.rest_s(crossing, self.call.job.slow))

    def _finished(self, step: JobStep, crossing: Crossing, why: str, *, degraded: bool) -> None:
        failures = bool(self.call.record.failures)
        self.call.finished(step, crossing, self._with_failures(why), degraded=degraded or failures)

    def _with_failures(self, why: str) -> str:
        return "; ".join([*self.call.record.failures, why])


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, CodecError) else repr(error)
