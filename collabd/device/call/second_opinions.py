"""Of one in a hundred calls that asked a little network, the big one's answer is compared with the little one's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from random import Random

from collab_sdk.errors import CollabError
from collabd.catalog.package.manifest import Manifest
from collabd.device.audit.pictures import KnownPictures
from collabd.device.companions.answers import Tensors
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.fidelity.thresholds import threshold_shares
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Job
from collabd.device.job.tensors import CallInput
from collabd.device.models.model import DeviceModel
from collabd.device.run.executor import Executor
from collabd.engine import EngineError
from collabd.profiling.likeness.classes import ClassLikeness

log = logging.getLogger(__name__)

# Which part of the calls is compared. Both kinds of calls are, those that the little network answered and the others:
# what is counted is how often both together are right.
_COMPARED = 0.01


class SecondOpinions:
    """Counts in the ledger. `caps`: the least fidelities that calls of a model want; `changed` hears which rows crossed
    one. `random`: draws the calls."""

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        *,
        caps: Callable[[DeviceModel], Collection[float]],
        changed: Callable[[DeviceModel, Crossed], None],
        random: Random,
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._caps = caps
        self._changed = changed
        self._random = random
        self._known = KnownPictures()
        # Only this refers to those under way.
        self._under_way: set[asyncio.Task[None]] = set()

    def consider(self, job: Job, given: CallInput, record: CallRecord, *, found: Tensors) -> None:
        """A call has ended with these outputs. Perhaps the big network is asked as well, beside later calls."""
        if record.opinion is None or not isinstance(given, CallImage) or self._random.random() >= _COMPARED:
            return
        task = asyncio.create_task(self._compare(job, given, record, found=found))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _compare(self, job: Job, given: CallImage, record: CallRecord, *, found: Tensors) -> None:
        model, name = job.model, job.model.manifest.name
        try:
            pixels = await asyncio.to_thread(given.prepare, model.manifest.require_picture())
            if self._known.has(model.digest, pixels):
                return
            self._known.add(model.digest, pixels)
            if record.little_answered:
                found = await self._asked(job, given, record)
            self._count(job, record, found)
        except (CollabError, EngineError) as error:
            log.info("%s: no second opinion of a picture: %s", name, error)
        except Exception:
            log.exception("%s: asking for a second opinion failed", name)

    async def _asked(self, job: Job, given: CallImage, record: CallRecord) -> Tensors:
        """What the plan answers without the little network. It is in no hurry."""
        alone = replace(job, little=None, deadline_s=None, sparing=True)
        return await self._executor.run(alone, given, CallRecord(record.clock, record.clock()))

    def _count(self, job: Job, record: CallRecord, found: Tensors) -> None:
        """What the little network said in the precision of the job says nothing of the other."""
        model, manifest, opinion = job.model, job.model.manifest, record.opinion
        decided = _sure_of(manifest, found)
        ladder = manifest.little and job.little and manifest.little.ladder(job.little.precision)
        if decided is None or opinion is None or not ladder:
            return
        shares = threshold_shares(ladder, opinion, decided)
        caps = self._caps(model)
        for crossed in self._ledger.take_in(model.digest, manifest, shares, decided=decided, caps=caps):
            self._changed(model, crossed)


def _sure_of(manifest: Manifest, found: Tensors) -> int | None:
    """The class that the network is sure of; None: it is sure of none."""
    (output,), kind = manifest.output_names, manifest.output_kind
    if kind is None:
        return None
    reference = ClassLikeness(found, output, kind).reference
    return int(reference.decided[0]) if reference.sure[0] else None
