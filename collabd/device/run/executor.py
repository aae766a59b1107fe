"""Runs jobs step by step. When the companion is late or fails, the device finishes from the tensors at the cut."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from collabd.device.companions.answers import Tensors
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Job, Standby
from collabd.device.job.tensors import CallInput
from collabd.device.lane.lane import Lane, LanePart
from collabd.device.models.model import DeviceModel
from collabd.device.run.compute import Compute
from collabd.device.run.crossings import Crossings
from collabd.device.run.under_way import UnderWay
from collabd.engine import Stop

T = TypeVar("T")


class Saw(Protocol):
    """Is shown the picture or the tensors of each call that was answered, and the picture as the device prepared it.

    `prepared` None: it had not to. `may_leave`: whether the call allowed its picture to be sent to companions.
    """

    def __call__(  # noqa: D102
        self,
        model: DeviceModel,
        given: CallInput,
        prepared: npt.NDArray[np.generic] | None,
        *,
        may_leave: bool,
    ) -> None: ...


def unseen(model: DeviceModel, given: CallInput, prepared: npt.NDArray[np.generic] | None, *, may_leave: bool) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Executor:
    """Runs jobs on a lane. `hedge_price`: see `planning.local_start_s`. `saw`: sees each call that was answered."""

    compute: Compute
    lane: Lane
    hedge_price: float
    _: KW_ONLY
    saw: Saw = unseen

    async def look(
        self,
        model: DeviceModel,
        image: CallImage,
        record: CallRecord,
        *,
        due_s: float | None,
        expect_s: float,
        look: Callable[[npt.NDArray[np.uint8]], T],
    ) -> tuple[npt.NDArray[np.uint8], T]:
        """Prepare the image on the lane, and look at it there. Fill in `record`, and return input and sight.

        `due_s`: when the call is due, on the clock of the record. `expect_s`: how long it takes to prepare the image.
        Raises `InvalidImage`.
        """
        spec, prepared = model.manifest.require_picture(), []

        def prepare(_: Stop) -> None:
            prepared.append(self.compute.prepare_image(image, spec))

        parts: list[LanePart[Any]] = [LanePart(prepare), LanePart(lambda _: look(prepared[0]))]
        with self.lane.claimed(due_s, expect_s) as claim:
            made, seen = await self.lane.run_parts(parts, expect_s=expect_s, due_s=due_s, claim=claim)
        record.phases["prep"] += made.seconds
        record.phases["look"] += seen.seconds
        record.lane_s += made.waited_s + seen.waited_s
        return prepared[0], seen.value

    async def run(self, job: Job, given: CallInput, record: CallRecord, *, known: Tensors | None = None) -> Tensors:
        """Run the job for this image, or these tensors, fill in `record`, and return the outputs of the network.

        `known`: what the job need not compute, such as the image as it was prepared to be looked at, or an answer that
        the job inherits. The outputs are those of the little network where it has answered, as the record says. Raises
        `InvalidImage`. Raises `CompanionUnavailable` when the companions fail and the job forbids the device to finish.
        """
        lent = nullcontext() if job.little is None else job.little.model.lent.in_use()
        with lent:
            call = UnderWay(
                compute=self.compute,
                lane=self.lane,
                job=job,
                given=given,
                record=record,
                tensors=(known or {}).copy() if isinstance(given, CallImage) else given.arrays.copy(),
                due_s=None if job.deadline_s is None else record.started + job.deadline_s,
            )
            if job.steps:
                asked_first = () if job.companion is None else (Standby(job.companion, job.steps),)
                crossings = Crossings(call, self.hedge_price, [*asked_first, *job.standbys])
                with self.lane.claimed(call.due_s, job.here_s) as call.claim:
                    await call.all_steps(crossings)
            record.latency_s = record.clock() - record.started
            found = {name: call.tensors[name] for name in job.model.outputs} if call.answer is None else call.answer
            if job.steps:
                prepared = call.tensors.get(job.model.inputs[0])
                self.saw(job.model, given, prepared, may_leave=job.picture_may_leave)
            return found
