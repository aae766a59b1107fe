"""The device daemon in a simulation: its own parts run under a virtual clock, with a simulated companion and lane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import msgspec
import numpy as np

from collab_sdk import wire
from collab_sdk.result import Result
from collabd.catalog.store.store import Store
from collabd.config import CloudSettings, DeviceConfig, EnergySettings, Loaded
from collabd.device import journal
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.call.learned import Learned
from collabd.device.call.outcomes import Outcomes
from collabd.device.companions.companion import Companion
from collabd.device.companions.watcher import Watcher
from collabd.device.core.generation import Generation, Machinery
from collabd.device.counters import Counters
from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.device.senses import Senses
from collabd.engine import Engine
from collabd.lifecycle import background
from collabd.planning import Candidate
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from collabd.simulation import virtual_time
from collabd.simulation.simulated_companion import SimulatedCompanion, SimulatedLink
from collabd.simulation.simulated_device import SimulatedThread, Span, simulated_compute
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.workload import Draw
from collabd.simulation.world import Exchange, Outcome, World

# The daemon starts this many seconds before the trace, so it knows its companion when the trace begins.
_MEETS_S = 5.0
_COMPANION = CloudSettings(name="cloud", url="http://cloud")


def daemon_outcomes(world: World, config: DeviceConfig, *, energy: EnergySettings, every_s: float) -> list[Outcome]:
    """Run all requests of the world's workload.

    A request starts `every_s` seconds after the previous one. It starts later if the previous request is not answered
    by then, or if the device is not idle again.
    """
    with _defects_raised():
        return virtual_time.run(_outcomes(world, config, energy, every_s=every_s), start_s=-_MEETS_S)


async def _outcomes(world: World, config: DeviceConfig, energy: EnergySettings, *, every_s: float) -> list[Outcome]:
    daemon = _SimulatedDaemon(world, config, energy)
    async with daemon.watching():
        await sleep_until(0.0)
        return [await daemon.request(request, every_s=every_s) for request in range(len(world.workload))]


class _SimulatedDaemon:
    def __init__(self, world: World, config: DeviceConfig, energy: EnergySettings) -> None:
        workload = world.workload
        package, slowdown = workload.package, workload.slowdown
        self._world = world
        self._clock = clock = asyncio.get_running_loop().time
        self._luck = workload.draw(0)
        self._thread = SimulatedThread(stop_s=lambda: workload.stop_s(self._luck))
        self._asked = SimulatedCompanion(workload, SimulatedLink(world, clock), self._luck_now)
        self._companion = Companion(_COMPANION, config.link, config.failover, exchange=self._asked, clock=clock)
        engine, lane = Engine(threads=1, cache_bytes=0), Lane(self._thread, clock=clock)
        self._models = LoadedModels(Store([]), engine, lane, default=package.manifest.name)
        self._model = self._models.put(DeviceModel(package, workload.network))
        # How long images take to prepare is known in the device's own seconds.
        prep_ms = workload.profile.prep_ms * slowdown
        self._model.take_profile(msgspec.structs.replace(workload.profile, prep_ms=prep_ms))
        self._learned = Learned(SpeedFactor(slowdown), clock=clock)
        counters, told = Counters(), journal.Journal(clock)
        self._outcomes = Outcomes(self._learned, counters, told)
        machinery = Machinery(
            lane=lane,
            engine=engine,
            compute=simulated_compute(workload, self._thread, self._luck_now),
            models=self._models,
            learned=self._learned,
            clock=clock,
            counters=counters,
            journal=told,
            outcomes=self._outcomes,
            started=clock(),
        )
        senses = Senses(energy, SHOWS_NOTHING, clock=clock)
        self._config = config
        generation = Generation(Loaded(config, None), machinery, companions=[self._companion], senses=senses)
        self._plane = DeviceDataPlane(generation, self._models)
        spec = package.manifest.preprocessing
        frame = np.zeros((1, spec.height, spec.width, 3), np.uint8)
        self._frame = wire.InferRequest([wire.Tensor.from_array("image", frame)])

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Surrounds the calls: the watcher watches the companion."""
        watcher = Watcher(self._companion, self._config.link, self._models.packages, slept_s=lambda: 0.0)
        async with background("watching the companion", watcher.run, self._companion.give_up):
            yield

    async def request(self, request: int, *, every_s: float) -> Outcome:
        """Answer one request, and return when the next one starts."""
        self._luck = self._world.workload.draw(request)
        began_s = self._clock()
        await self._plane.infer(self._model.manifest.name, self._frame)
        ended_s = self._clock()
        self._outcomes.take_in()
        result = self._learned.history.last
        assert result is not None, "an answer was just remembered"  # noqa: S101
        # The loser of the race is stopped during this sleep.
        await sleep_until(began_s + every_s)
        await sleep_until(self._thread.idle_at_s)
        worked, exchanges = self._thread.worked, self._asked.answered
        self._thread.worked, self._asked.answered = [], []
        return self._world.outcome(
            self._plan(result),
            began_s,
            ended_s - began_s,
            busy_s=sum(span.seconds for span in worked),
            exchanges=exchanges,
            hedged_s=sum(span.seconds for span in worked if _is_beside(span, exchanges)),
        )

    def _plan(self, result: Result) -> Candidate:
        plans, taken = self._world.workload.plans, result.plan
        row = plans.index.get((taken.cut, taken.codec, None if taken.cloud is None else 0))
        if row is not None:
            return plans.rows[row]
        # A plan that is no candidate has several crossings.
        return replace(plans.rows[0], cut=taken.cut, codec=taken.codec, cloud=0, fidelity=result.fidelity or 0.0)

    def _luck_now(self) -> Draw:
        return self._luck


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
def _defects_raised() -> Iterator[None]:
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
