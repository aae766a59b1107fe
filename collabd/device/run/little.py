"""Asks the little network of a job."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collabd.catalog.package.sureness import opinion
from collabd.device.companions.answers import Tensors
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Job, LittleStep, Phase, SpeedSample
from collabd.device.lane.lane import Claim, Lane, LanePart
from collabd.device.run.compute import Compute
from collabd.engine import EngineError, Stop

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LittleAsked:
    """What came of it. `outputs`: of the little network. `picture`: as it took it."""

    outputs: Tensors
    picture: npt.NDArray[np.generic]
    is_sure: bool


@dataclass(frozen=True, kw_only=True)
class LittleRun:
    """Runs the little network of `job` on the lane, and fills in `record`."""

    compute: Compute
    lane: Lane
    job: Job
    little: LittleStep
    image: CallImage
    record: CallRecord

    async def ask(
        self, picture: npt.NDArray[np.generic] | None, *, due_s: float | None, claim: Claim | None
    ) -> LittleAsked | None:
        """Whether it is sure of the picture, which is prepared already if it is given.

        None: it failed, which the big network must not suffer from. `due_s`: when the call is due. Raises
        `InvalidImage`.
        """
        model, found, given = self.little.model, dict[str, Tensors](), picture
        key = model.keys[self.little.precision]

        def prepare(_: Stop) -> None:
            nonlocal given
            given = self.compute.prepare_image(self.image, model.manifest.require_picture())

        def setup() -> None:
            self.compute.prepare_layers(key, model.inputs, model.outputs)

        def run(stop: Stop) -> None:
            assert given is not None  # noqa: S101 (it was prepared before)
            found["outputs"] = self.compute.run_layers(key, {model.inputs[0]: given}, model.outputs, stop=stop)

        # What it prepares by a rule of its own is time that only it takes.
        phases: list[Phase] = ["little"] if picture is not None else [self._prepares_as, "little"]
        parts = [LanePart(run, setup)] if picture is not None else [LanePart(prepare), LanePart(run, setup)]
        expect_s = self.little.run_s * self.job.slow + (0.0 if picture is not None else self.job.prep_s)
        try:
            all_timed = await self.lane.run_parts(parts, expect_s=expect_s, due_s=due_s, claim=claim)
        except EngineError:
            log.exception("%s, the little network of %s, failed", model.manifest.name, self.job.model.manifest.name)
            return None
        for phase, timed in zip(phases, all_timed, strict=True):
            self.record.phases[phase] += timed.seconds
            self.record.lane_s += timed.waited_s
        if self.job.profiled:
            # It counts as a part of the call's own network, so in a precision that this has.
            precision = self.job.precisions.tail.graph
            self.record.speed_here.append(SpeedSample(all_timed[-1].seconds, self.little.run_s, precision))
        assert given is not None  # noqa: S101 (it was prepared before)
        return LittleAsked(outputs=found["outputs"], picture=given, is_sure=self._is_sure(found["outputs"]))

    @property
    def _prepares_as(self) -> Phase:
        return "prep" if self.little.same_picture else "little"

    def _is_sure(self, outputs: Tensors) -> bool:
        self.record.opinion = opinion(self.little.model.manifest, outputs, self.little.score)
        return self.record.opinion.sureness >= self.little.least
