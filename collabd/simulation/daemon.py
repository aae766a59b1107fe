"""What the device daemon does with the requests of a workload, on one link and with one companion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from collab_sdk.result import Result
from collab_sdk.vocabulary import INHERIT, Cascade, Precision
from collabd.config import DeviceConfig, EnergySettings
from collabd.device import journal
from collabd.planning import Candidate
from collabd.planning.candidates import PlanKey
from collabd.planning.precisions import Precisions
from collabd.simulation import virtual_time
from collabd.simulation.device_daemon import VirtualDaemon
from collabd.simulation.simulated_companion import SimulatedCompanion, SimulatedLink
from collabd.simulation.simulated_device import Span
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.world import Exchange, Outcome, World

# The daemon starts this many seconds before the trace, so it knows its companion when the trace begins.
_MEETS_S = 5.0
_STREAM = "camera"
_COMPANION = "cloud"


def daemon_outcomes(world: World, config: DeviceConfig, *, energy: EnergySettings, every_s: float) -> list[Outcome]:
    """Run all requests of the world's workload.

    A request starts `every_s` seconds after the previous one. It starts later if the previous request is not answered
    by then, or if the device is not idle again.
    """
    with defects_raised():
        return virtual_time.run(_outcomes(world, config, energy, every_s=every_s), start_s=-_MEETS_S)


async def _outcomes(world: World, config: DeviceConfig, energy: EnergySettings, *, every_s: float) -> list[Outcome]:
    daemon = _SimulatedDaemon(world, config, energy)
    async with daemon.watching():
        await sleep_until(0.0)
        return [await daemon.request(request, every_s=every_s) for request in range(len(world.workload))]


class _SimulatedDaemon:
    def __init__(self, world: World, config: DeviceConfig, energy: EnergySettings) -> None:
        workload = world.workload
        self._world = world
        self._began_s: list[float] = []
        self._clock = clock = asyncio.get_running_loop().time
        self._turn = turn = Turn(0, workload.draw(0))
        self._asked = SimulatedCompanion(workload, SimulatedLink(world, clock), turn)
        self._daemon = VirtualDaemon(workload, config, energy, exchanges={_COMPANION: self._asked}, turn=turn)
        self._plans = workload.plans_for(config.planning.min_fidelity)

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Surrounds the calls: the watcher watches the companion."""
        return self._daemon.watching()

    async def request(self, request: int, *, every_s: float) -> Outcome:
        """Answer one request, and return when the next one starts."""
        self._turn.request, self._turn.luck = request, self._world.workload.draw(request)
        began_s, thread = self._clock(), self._daemon.thread
        self._began_s.append(began_s)
        stream = _STREAM if self._world.workload.is_stream else None
        result = await self._daemon.infer(self._inputs(request), stream=stream)
        ended_s = self._clock()
        # The loser of the race is stopped during this sleep.
        await sleep_until(began_s + every_s)
        await sleep_until(thread.idle_at_s)
        worked, exchanges = thread.worked, self._asked.answered
        thread.worked, self._asked.answered = [], []
        return self._world.outcome(
            self._plan(result),
            began_s,
            ended_s - began_s,
            busy_s=sum(span.seconds for span in worked),
            exchanges=exchanges,
            little_answered=result.answered_by is not None,
            inherited_from=self._asked_at(began_s, result.inherited_age_s),
            hedged_s=sum(span.seconds for span in worked if _is_beside(span, exchanges)),
        )

    def _asked_at(self, now_s: float, age_s: float | None) -> int | None:
        """The request that came so long ago."""
        if age_s is None:
            return None
        return int(np.argmin(np.abs(np.array(self._began_s) - (now_s - age_s))))

    def _inputs(self, request: int) -> Mapping[str, npt.NDArray[np.generic]]:
        shown, blank = self._world.workload.shown, self._daemon.model.blank
        return blank if shown is None else {name: shown.pixels(request) for name in blank}

    def _plan(self, result: Result) -> Candidate:
        plans, taken = self._plans, result.plan
        found: PlanKey = (taken.cut, taken.codec, None if taken.cloud is None else 0, Precisions.parse(taken.precision))
        if taken.cascade is not None and taken.little_precision is not None:
            found = (*found, Cascade(taken.cascade), Precision(taken.little_precision))
        row = plans.index.get(found)
        if row is not None:
            return _as_taken(plans.rows[row], taken.least_sureness)
        # What is no candidate inherits an answer, or has several crossings.
        cloud = None if taken.cut == INHERIT else 0
        return replace(plans.rows[0], cut=taken.cut, codec=taken.codec, cloud=cloud, fidelity=result.fidelity or 0.0)


def _as_taken(plan: Candidate, least_sureness: float | None) -> Candidate:
    """The plan, with the threshold at which a little network was asked: what it is worth is learned in service."""
    if plan.little is None or least_sureness is None:
        return plan
    return replace(plan, little=replace(plan.little, least=least_sureness))


def _is_beside(span: Span, exchanges: Sequence[Exchange]) -> bool:
    """Whether the device began this work while it waited for an answer."""
    return any(exchange.began_s <= span.began_s < exchange.ended_s for exchange in exchanges)


class _Defects(logging.Handler):
    """Collects the exceptions that the daemon survives and logs. In a simulation each of them is a program defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


@contextmanager
def defects_raised() -> Iterator[None]:
    """Raise at the end the defects that the daemon logged.

    The journal is silent meanwhile: nobody needs to know that a simulated companion was lost.
    """
    log, defects, before = logging.getLogger("collabd"), _Defects(), journal.log.disabled
    log.addHandler(defects)
    journal.log.disabled = True
    try:
        yield
    finally:
        journal.log.disabled = before
        log.removeHandler(defects)
    for defect in defects.found:
        raise defect
