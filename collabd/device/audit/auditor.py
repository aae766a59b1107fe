"""Audits this device's own pictures: how often lossy plans would have given the answer of the unsplit network."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar
from weakref import WeakKeyDictionary, finalize, ref

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidImage
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import CodecFigures, Cut
from collabd.catalog.package.sureness import opinion
from collabd.clock import Clock
from collabd.codec import CodecError
from collabd.device.audit.agenda import Agenda, open_rows
from collabd.device.audit.answers import LocalAnswers
from collabd.device.audit.pace import AuditPace, Taken
from collabd.device.audit.pictures import KnownPictures, RecentPictures, ServedPicture
from collabd.device.companions.answers import Tensors
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.thresholds import threshold_shares
from collabd.device.job.image import CallImage
from collabd.device.lane.lane import Lane
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine, EngineError, Stop, Stopped
from collabd.profiling.calibrate import one_by_one
from collabd.profiling.likeness.classes import ClassLikeness
from collabd.profiling.likeness.likeness import Likeness, likeness_of

T = TypeVar("T")
log = logging.getLogger(__name__)

# The next picture may fail as well, and the journal is to stay readable.
_AFTER_FAILURE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Asks:
    """What calls ask for.

    `questions`: of a model's rows, the most important first. `caps`: the least fidelities that calls of a model want.
    `changed`: is told which rows crossed one.
    """

    questions: Callable[[DeviceModel], Iterable[RowQuestion]]
    caps: Callable[[DeviceModel], Collection[float]]
    changed: Callable[[DeviceModel, Crossed], None]
    # The little network that may answer in the place of a model now.
    little: Callable[[DeviceModel], DeviceModel | None]
    # What a companion of such a row of a reduced precision answers to the network's input; None: none can be asked.
    reduced: Callable[[DeviceModel, Row, npt.NDArray[np.uint8]], Awaitable[Tensors | None]]


class _Gone(Exception):
    """The model is no longer loaded. An audit may last for minutes, and its weights are to be freed now."""


class Auditor:
    """A background task. It works on the lane in small pieces, while no call is under way, and yields to any call."""

    def __init__(
        self,
        models: Iterable[DeviceModel],
        pictures: RecentPictures,
        *,
        engine: Engine,
        lane: Lane,
        ledger: Ledger,
        asks: Asks,
        pace: AuditPace,
        taken: Taken,
        clock: Clock,
    ) -> None:
        """`engine`: that of calls. The audit has its own, of an eighth of its size."""
        self._models = models
        self._pictures = pictures
        self._known = KnownPictures()
        self._calls = engine
        self._engine = Engine(threads=engine.threads, cache_bytes=engine.cache_bytes // 8)
        self._lane = lane
        self._ledger = ledger
        self._asks = asks
        self._pace = pace
        self._taken = taken
        self._clock = clock
        self._agendas: WeakKeyDictionary[DeviceModel, Agenda] = WeakKeyDictionary()

    async def run(self) -> None:
        """Audit one picture after the other, until cancelled."""
        while True:
            seen = await self._pictures.next()
            await self._audit_if_it_can(seen)
            await self._ledger.save_sometimes()

    async def _audit_if_it_can(self, seen: ServedPicture) -> None:
        model = next((model for model in self._models if model.digest == seen.digest), None)
        if model is None or model.profile is None or not self._ledger.of(model.digest, model.manifest).evidence:
            return
        try:
            await self._audit(model, seen)
        except _Gone:
            log.debug("%s: the audit of a picture ended with the model", model.manifest.name)
        except (InvalidImage, EngineError) as error:
            log.warning("%s: a picture could not be audited: %s", model.manifest.name, error)
            self._pace.pause(_AFTER_FAILURE_S)

    async def _audit(self, model: DeviceModel, seen: ServedPicture) -> None:
        spec, digest = model.manifest.require_picture(), seen.digest
        pixels = await self._piece(model, lambda _: seen.prepared(spec))
        if await self._piece(model, lambda _: self._known.has(digest, pixels)):
            self._taken.copies += 1
            return
        self._add(model)
        answers = LocalAnswers(model, self._engine, pixels)
        await self._built(partial(answers.build_whole, Precision.FP32))
        # Boxes overlap as much in the network's input as in the picture that it was made of.
        size = spec.width, spec.height
        whole = await self._piece(model, partial(answers.whole, Precision.FP32))
        likeness = likeness_of(model.manifest, whole, [size])
        self._known.add(digest, pixels)
        shares = await self._shares(model, answers, likeness)
        if seen.may_leave:
            shares |= await self._of_reduced(model, pixels, likeness)
        if not shares:
            return
        self._taken.pictures += 1
        decided = int(likeness.reference.decided[0]) if isinstance(likeness, ClassLikeness) else None
        if decided is not None:
            shares |= await self._of_little(model, seen, pixels, decided=decided)
        caps = self._asks.caps(model)
        for crossed in self._ledger.take_in(digest, model.manifest, shares, decided=decided, caps=caps):
            self._asks.changed(model, crossed)

    async def _shares(self, model: DeviceModel, answers: LocalAnswers, likeness: Likeness) -> dict[Row, float]:
        """By row, how much its answer is like the unsplit network's; empty if the picture tells nothing."""
        if isinstance(likeness, ClassLikeness) and not likeness.reference.sure[0]:
            return {}
        shares: dict[Row, float] = {}
        for (cut, head, tail), rows in groupby(self._agenda(model), key=_parts):
            await self._built(partial(answers.build_head, cut, head))
            await self._piece(model, partial(answers.head, cut, head))
            await self._built(partial(answers.build_tail, cut, tail))
            for _, figures in rows:
                try:
                    found = await self._piece(model, partial(answers.lossy, cut, figures))
                except CodecError:
                    # A plan of this row would have sent nothing, and the device would have answered.
                    continue
                share = likeness.shares(found, 0)
                if likeness.telling(share)[0]:
                    shares[Row.packed(cut, figures)] = float(share[0, 0])
        return shares

    async def _of_reduced(
        self, model: DeviceModel, pixels: npt.NDArray[np.uint8], likeness: Likeness
    ) -> dict[Row, float]:
        """By row in question, how much the answer of a companion in a reduced precision is like the network's here."""
        if isinstance(likeness, ClassLikeness) and not likeness.reference.sure[0]:
            return {}
        believed, shares = self._ledger.of(model.digest, model.manifest), dict[Row, float]()
        for row in dict.fromkeys(open_rows(self._asks.questions(model), believed)):
            if not row.is_reduced:
                continue
            await self._pace.rest()
            # What else is to cross the link now must not wait for this.
            await self._lane.free.wait()
            began = self._clock()
            found = await self._asks.reduced(model, row, pixels)
            self._pace.asked(self._clock() - began)
            if found is not None:
                share = likeness.shares({name: one_by_one(array, 1) for name, array in found.items()}, 0)
                if likeness.telling(share)[0]:
                    shares[row] = float(share[0, 0])
        return shares

    async def _of_little(
        self, model: DeviceModel, seen: ServedPicture, pixels: npt.NDArray[np.uint8], *, decided: int
    ) -> dict[Row, float]:
        """By threshold in each precision, whether the answer would be the class that the network `decided` for."""
        little, stated = self._asks.little(model), model.manifest.little
        if little is None or stated is None:
            return {}
        spec = little.manifest.require_picture()
        if spec != model.manifest.picture:
            if not isinstance(seen.content, CallImage):
                return {}
            pixels = await self._piece(little, lambda _: seen.prepared(spec))
        shares: dict[Row, float] = {}
        with little.lent.in_use():
            self._add(little)
            answers = LocalAnswers(little, self._engine, pixels)
            for ladder in stated.ladders:
                if ladder.precision in little.networks:
                    await self._built(partial(answers.build_whole, ladder.precision))
                    outputs = await self._piece(little, partial(answers.whole, ladder.precision))
                    shares |= threshold_shares(ladder, opinion(little.manifest, outputs, ladder.score), decided)
        return shares

    def _agenda(self, model: DeviceModel) -> list[tuple[Cut, CodecFigures]]:
        """The rows for the next picture, those that share a head and a tail one after the other."""
        believed = self._ledger.of(model.digest, model.manifest)
        agenda = self._agendas.setdefault(model, Agenda(row for row in believed.evidence if row.is_split))
        wanted = agenda.rows(self._asks.questions(model), believed)
        return [
            (cut, figures)
            for cut in model.manifest.cuts
            for figures in sorted(cut.codecs, key=lambda each: (each.head, each.tail))
            if Row.packed(cut, figures) in wanted and {figures.head, figures.tail} <= model.keys.keys()
        ]

    async def _piece(self, model: DeviceModel, work: Callable[[Stop], T]) -> T:
        """Run a piece of work on the lane, as often as calls stop it."""
        while True:
            await self._pace.rest()
            await self._lane.free.wait()
            if not any(model is each for each in self._models):
                raise _Gone
            began = self._clock()
            try:
                return await self._lane.aside(work)
            except Stopped:
                continue
            finally:
                self._pace.spent((self._clock() - began) * self._threads(model))

    async def _built(self, build: Callable[[], None]) -> None:
        """Build a session beside the lane, where a call that comes meanwhile would wait for it."""
        await self._pace.rest()
        await self._lane.free.wait()
        began = self._clock()
        await asyncio.to_thread(build)
        self._pace.spent(self._clock() - began)

    def _threads(self, model: DeviceModel) -> int:
        return self._engine.threads if model.profile is None else model.profile.threads

    def _add(self, model: DeviceModel) -> None:
        for precision, key in model.keys.items():
            if not self._engine.knows(key):
                self._engine.add(key, model.networks[precision], providers=self._calls.providers(key))
                # The engine alone must not keep the weights of a model that is gone.
                finalize(model, _remove, ref(self._engine), key)
            self._engine.use_threads(key, self._threads(model))


def _parts(row: tuple[Cut, CodecFigures]) -> tuple[Cut, Precision, Precision]:
    cut, figures = row
    return cut, figures.head, figures.tail


def _remove(engine: ref[Engine], key: str) -> None:
    if (there := engine()) is not None:
        there.remove(key)
