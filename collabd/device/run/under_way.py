"""A call under way: what the device itself does of it on the lane, and all tensors that are known so far."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

from collab_sdk import wire
from collab_sdk.vocabulary import Cascade, Precision
from collabd.codec import CodecError
from collabd.device.companions.answers import Tensors
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Crossing, Job, JobStep, Phase, SpeedSample
from collabd.device.job.tensors import CallInput
from collabd.device.lane.lane import Claim, Lane, LanePart
from collabd.device.run.compute import Compute
from collabd.device.run.little import LittleAsked, LittleRun
from collabd.engine import Stop
from collabd.planning.candidates import SOURCE

log = logging.getLogger(__name__)

# The tensors to compute, from those known.
_OutputsOf: TypeAlias = Callable[[Tensors], tuple[str, ...]]


@dataclass(slots=True)
class LaneWork:
    """A part of the work of a call on the lane. It adds tensors to those known.

    `profiled_s`: how long an idle device takes for the layers that the part runs; None: it runs none.

    `letters`: the layers that the part runs, as in a placement. `precision`: in which it runs them.
    """

    phase: Phase
    work: Callable[[Tensors, Stop], None]
    expect_s: float = 0.0
    _: KW_ONLY
    setup: Callable[[Tensors], None] | None = None
    profiled_s: float | None = None
    letters: str = ""
    precision: Precision = Precision.FP32


class Crosses(Protocol):
    """See `Crossings`."""

    async def cross(  # noqa: D102
        self,
        place: int,
        crossing: Crossing,
        *,
        inputs: list[wire.Tensor] | Exception | None,
        outputs: tuple[str, ...],
    ) -> bool: ...


@dataclass(slots=True, kw_only=True)
class UnderWay:
    """One call, from its first piece of work to its last."""

    compute: Compute
    lane: Lane
    job: Job
    given: CallInput
    record: CallRecord
    # All tensors known so far. A failure of the companion removes none of them.
    tensors: Tensors
    # When the answer is due, in seconds on the clock of the record. None: the call has no deadline.
    due_s: float | None
    claim: Claim = field(init=False)
    # What the little network answered, where it was sure.
    answer: Tensors | None = None

    async def all_steps(self, crossings: Crosses) -> None:
        """Run the steps. What the device does between two crossings is one piece of work on the lane."""
        job = self.job
        if job.little is not None and job.little.kind is Cascade.SERIAL:
            asked = await self.ask_little()
            if asked is not None and asked.is_sure:
                self.little_answers(asked)
                return
        here: list[LaneWork] = []
        prepared = bool(self.tensors)
        for place, step in enumerate(job.steps):
            crossing = step.crossing
            if not prepared and (crossing is None or crossing.codec != SOURCE):
                here.append(self._preparing())
                prepared = True
            if crossing is None:
                here.append(self._head(step))
                continue
            here, before = [], here
            inputs = await self._sendable(step, crossing, before)
            outputs = self._outputs(step, self.tensors)
            if await crossings.cross(place, crossing, inputs=inputs, outputs=outputs):
                return
            # The answer of a companion that was sent the file holds all that the next step needs.
            prepared = True
        if here:
            await self._on_lane(here)

    @property
    def image(self) -> CallImage:
        """What the call is about, if it is a picture."""
        assert isinstance(self.given, CallImage)  # noqa: S101 (tensors need no preparation, and are no file)
        return self.given

    async def ask_little(self) -> LittleAsked | None:
        """Whether the little network is sure. None: it failed. The picture that it took is known from then on."""
        little, model = self.job.little, self.job.model
        assert little is not None  # noqa: S101 (only then it is asked)
        run = LittleRun(
            compute=self.compute,
            lane=self.lane,
            job=self.job,
            little=little,
            image=self.image,
            record=self.record,
        )
        picture = self.tensors.get(model.inputs[0]) if little.same_picture else None
        asked = await run.ask(picture, due_s=self.due_s, claim=self.claim)
        if asked is not None and little.same_picture:
            self.tensors.setdefault(model.inputs[0], asked.picture)
        return asked

    def little_answers(self, asked: LittleAsked) -> None:
        """The little network's answer is the call's."""
        self.answer, self.record.little_answered = asked.outputs, True

    def _preparing(self) -> LaneWork:
        """Make the network's input of the picture."""
        model, prepare = self.job.model, self.compute.prepare_image

        def work(known: Tensors, _: Stop) -> None:
            known[model.inputs[0]] = prepare(self.image, model.manifest.require_picture())

        return LaneWork("prep", work, self.job.prep_s)

    def _head(self, step: JobStep) -> LaneWork:
        """Run a step of this device."""
        return self._layers(
            partial(self._outputs, step), "head", step.run_s, precision=step.precision, letters=step.stage.letters
        )

    async def _sendable(
        self, step: JobStep, crossing: Crossing, before: Sequence[LaneWork]
    ) -> list[wire.Tensor] | Exception | None:
        """Do the work `before`, and encode what a companion needs.

        Returns the error if encoding fails, and None if there is no companion.
        """
        if self.job.companion is None:
            await self._on_lane(before)
            return None
        model, encode = self.job.model, self.compute.encode
        encoded: list[wire.Tensor] | Exception = []

        def work(known: Tensors, _: Stop) -> None:
            nonlocal encoded
            encoded = _or_error(lambda: encode(self._needed(known, self._outputs(step, known)), crossing, model))

        if crossing.codec == SOURCE:
            await self._on_lane(before)
            return _or_error(lambda: [self.image.as_file(model.inputs[0])])
        await self._on_lane([*before, LaneWork("encode", work)])
        return encoded

    async def _on_lane(self, works: Sequence[LaneWork]) -> None:
        """Run works of this call on the lane, one after the other, as one piece.

        Without works nothing happens. They add to a copy of the known tensors. So a tail that was overtaken, and is
        stopping, changes nothing here.
        """
        if not works:
            return
        record, known, expect_s = self.record, self.tensors.copy(), sum(work.expect_s for work in works)
        parts = [LanePart(partial(work.work, known), work.setup and partial(work.setup, known)) for work in works]
        all_timed = await self.lane.run_parts(parts, expect_s=expect_s, due_s=self.due_s, claim=self.claim)
        self.tensors = known
        for work, timed in zip(works, all_timed, strict=True):
            record.phases[work.phase] += timed.seconds
            record.lane_s += timed.waited_s
            record.ran += work.letters
            if work.profiled_s is not None and self.job.profiled:
                record.speed_here.append(SpeedSample(timed.seconds, work.profiled_s, work.precision))

    def _outputs(self, step: JobStep, known: Tensors) -> tuple[str, ...]:
        """The tensors that the step must produce and that are not known yet."""
        return tuple(name for name in self.job.model.frontiers[step.stage.last - 1] if name not in known)

    async def finish(self, crossing: Crossing, *, expect_s: float) -> None:
        """Compute the outputs of the network on the device, from the tensors at hand."""
        with self.lane.claimed(self.claim.due_s, expect_s):
            works = [self._layers(self._missing, "local_tail", crossing.rest_s, precision=crossing.rest_in)]
            await self._on_lane(works if self.tensors else [self._preparing(), *works])

    def finished(self, step: JobStep, crossing: Crossing, why: str, *, degraded: bool) -> None:
        """The device has run all layers from this step on. `why` it did."""
        self.record.ran += "D" * (len(self.job.model.manifest.layers) - step.stage.first)
        self.record.why, self.record.degraded, self.record.tail = why, degraded, crossing.rest_in

    def _layers(
        self, outputs_of: _OutputsOf, phase: Phase, profiled_s: float, *, precision: Precision, letters: str = ""
    ) -> LaneWork:
        """Run layers on this device. `outputs_of` is asked when the work before is done."""
        compute, key = self.compute, self.job.model.keys[precision]

        def setup(known: Tensors) -> None:
            outputs = outputs_of(known)
            compute.prepare_layers(key, tuple(self._needed(known, outputs)), outputs)

        def work(known: Tensors, stop: Stop) -> None:
            outputs = outputs_of(known)
            known |= compute.run_layers(key, self._needed(known, outputs), outputs, stop=stop)

        expect_s = profiled_s * self.job.slow
        return LaneWork(phase, work, expect_s, setup=setup, profiled_s=profiled_s, letters=letters, precision=precision)

    def _needed(self, known: Tensors, outputs: tuple[str, ...]) -> Tensors:
        return {name: known[name] for name in self.job.model.needed(tuple(known), outputs)}

    def _missing(self, known: Tensors) -> tuple[str, ...]:
        return tuple(name for name in self.job.model.outputs if name not in known)


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
