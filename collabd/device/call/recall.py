"""Calls of a stream: their pictures are looked at before they are planned, and what they are answered is remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import INHERIT, Cascade
from collabd.device.companions.answers import Tensors
from collabd.device.counters import Counters
from collabd.device.decide.seen import SeenPicture
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord, Job
from collabd.device.job.options import CallOptions
from collabd.device.job.placement import inherit_codec
from collabd.device.job.tensors import CallInput
from collabd.device.journal import Journal
from collabd.device.lane.turns import USER
from collabd.device.memory.difference import blocks_of
from collabd.device.memory.stream import AnsweredPicture, Heirloom, Sight, Stream
from collabd.device.memory.streams import Streams
from collabd.device.memory.sureness import is_sure, shows_something
from collabd.device.models.model import DeviceModel
from collabd.device.run.executor import Executor
from collabd.planning import Candidate
from collabd.planning.candidates import SOURCE
from collabd.profiling.likeness.likeness import likeness_of
from collabd.tasks.tensors import Outputs

# A larger answer is not remembered.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, eq=False, kw_only=True)
class Check:
    """An answer that might have been inherited, and the one that was computed instead.

    `stream`: its name; `least`: the fidelity that the call asked for.
    """

    memory: Stream
    heirloom: Heirloom
    found: Outputs
    model: DeviceModel
    size: tuple[int, int]
    stream: str
    least: float

    def take_in(self, counters: Counters, journal: Journal) -> None:
        """Count it, and report if this makes a difference to calls."""
        rung, shows, manifest = self.heirloom.rung, self.heirloom.answered.shows, self.model.manifest
        shares = likeness_of(manifest, self.found, [self.size]).shares(self.heirloom.answered.outputs, 0)
        counters.report["checked"] += 1
        before = self.memory.fidelity(rung, shows=shows)
        self.memory.count(self.heirloom, float(shares[0, 0]))
        now = self.memory.fidelity(rung, shows=shows)
        if (before >= self.least) != (now >= self.least):
            row = f"inheriting {inherit_codec(rung)} in the stream {self.stream!r}"
            journal.fidelity_changed(manifest.name, row, least=self.least, now=now, allowed=now >= self.least)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recall:
    """What a call's picture has shown, beside its stream's memory.

    `prepared`: the picture as the network takes it. `took_s`: seconds that the device worked for this.
    """

    memory: Stream
    sight: Sight
    prepared: npt.NDArray[np.uint8]
    took_s: float
    model: DeviceModel
    stream: str
    least: float

    @property
    def seen(self) -> SeenPicture:
        """The picture as planning sees it."""
        heirloom = self.sight.heirloom
        if heirloom is None or self.sight.audited:
            return SeenPicture(took_s=self.took_s, offer=None, suffices=False, exact=self.sight.wants_exact)
        offer = Candidate(
            cut=INHERIT,
            codec=inherit_codec(heirloom.rung),
            cloud=None,
            local_tail_s=0.0,
            fidelity=heirloom.fidelity,
        )
        return SeenPicture(
            took_s=self.took_s, offer=offer, suffices=heirloom.fidelity >= self.least, exact=self.sight.wants_exact
        )

    def known(self, job: Job, record: CallRecord) -> Tensors:
        """The tensors that the job need not compute. If it inherits its answer, the record says so."""
        sight, heirloom = self.sight, self.sight.heirloom
        tensors: Tensors = {self.model.inputs[0]: self.prepared}
        if heirloom is not None and not job.steps:
            record.inherited_age_s = heirloom.age_s
            record.remark = f"the picture differs by {heirloom.differs:.1f} of 255 from the one that was answered"
            tensors |= heirloom.answered.outputs
        elif sight.audited:
            record.remark = "computed anew, to check what the stream's last answer is worth"
        return tensors

    def remember(self, job: Job, found: Tensors, fidelity: float | None, *, little_answered: bool) -> Check | None:
        """The call was answered with these outputs. Returns what is to be counted later.

        `fidelity`: how often such an answer is the unsplit network's; None: nobody knows. `little_answered`: the
        outputs are those of a little network.
        """
        sight = self.sight
        if not job.steps:
            return None
        if little_answered:
            # What the network itself has answered of this scene is worth more.
            if sight.heirloom is None:
                self._answered(job, {}, 0.0, sure=True, shows=False)
            return None
        if fidelity is not None and sum(array.nbytes for array in found.values()) <= _MOST_BYTES:
            manifest = self.model.manifest
            sure, shows = is_sure(manifest, found), shows_something(manifest, found)
            self._answered(job, found, fidelity, sure=sure, shows=shows)
        # Where only the older answer was lossy, a difference may be that loss, and not what has changed since.
        if sight.heirloom is None or sight.heirloom.answered.fidelity < (fidelity or 0.0):
            return None
        return Check(
            memory=self.memory,
            heirloom=sight.heirloom,
            found=found,
            model=self.model,
            size=sight.size,
            stream=self.stream,
            least=self.least,
        )

    def _answered(self, job: Job, outputs: Tensors, fidelity: float, *, sure: bool, shows: bool) -> None:
        sight = self.sight
        answered = AnsweredPicture(
            at=sight.at,
            blocks=sight.blocks,
            size=sight.size,
            outputs=outputs,
            fidelity=fidelity,
            sure=sure,
            shows=shows,
        )
        self.memory.answer(answered, costs_a_look=not _prepares_image(job))


def _prepares_image(job: Job) -> bool:
    """Whether the job has the image prepared for the model before anything is sent, so that a look takes no more."""
    little, first = job.little, job.steps[0].crossing
    takes_it_first = little is not None and little.kind is Cascade.SERIAL and little.same_picture
    return takes_it_first or first is None or first.codec != SOURCE


class Recalls:
    """Looks at the pictures of streams. `inherit_s`: how old an answer may be that is inherited; 0: none is."""

    def __init__(self, streams: Streams, executor: Executor, *, inherit_s: float) -> None:
        self._streams = streams
        self._executor = executor
        self._inherit_s = inherit_s

    async def look(
        self, model: DeviceModel, given: CallInput, options: CallOptions, *, record: CallRecord, least: float
    ) -> Recall | None:
        """What the call's picture shows. None: the call could not inherit an answer, whatever it shows.

        `least`: the fidelity that the call asks for. Raises `InvalidImage`.
        """
        stream = options.stream
        if stream is None or not isinstance(given, CallImage) or not self._inherit_s or least >= 1:
            return None
        if options.is_fixed or options.codec is not None or options.precision is not None:
            return None
        memory = self._streams.of(USER.get(), stream, model.digest)
        if not memory.is_worth_a_look():
            return None
        latency_ms = options.budget.latency_ms
        prepared, blocks = await self._executor.look(
            model,
            given,
            record,
            due_s=None if latency_ms is None else record.started + latency_ms / 1e3,
            expect_s=model.prep.at(given.pixels / 1e6, record.clock()),
            look=blocks_of,
        )
        sight = memory.see(
            blocks, given.upright_size, at=record.started, most_age_s=self._inherit_s, least_fidelity=least
        )
        return Recall(
            memory=memory,
            sight=sight,
            prepared=prepared,
            took_s=record.phases["prep"] + record.phases["look"],
            model=model,
            stream=stream,
            least=least,
        )
