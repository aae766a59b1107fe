"""The device daemon under a virtual clock: its own parts, with simulated companions and a simulated lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.result import Result
from collabd.catalog.store.store import Store
from collabd.config import CloudSettings, DeviceConfig, DeviceModelSettings, EnergySettings, Loaded
from collabd.device import journal
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.audit.pace import Taken
from collabd.device.call.history import History
from collabd.device.call.learned import Learned
from collabd.device.call.outcomes import Outcomes
from collabd.device.companions.companion import Companion
from collabd.device.companions.exchange import CompanionExchange
from collabd.device.companions.pause import Pause
from collabd.device.companions.watcher import Watcher
from collabd.device.core.generation import Generation, Machinery
from collabd.device.counters import Counters
from collabd.device.fidelity.ledger import Ledger
from collabd.device.lane.lane import Lane
from collabd.device.memory.streams import Streams
from collabd.device.models.loaded import LoadedModels
from collabd.device.senses import Senses
from collabd.engine import Engine
from collabd.health.tracker import HealthTracker
from collabd.lifecycle import background
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from collabd.simulation.simulated_device import SimulatedThread, simulated_compute
from collabd.simulation.turn import Turn
from collabd.simulation.workload import Workload


class VirtualDaemon:
    """One device. `turn` says which request it is at, and `thread` where its work goes.

    `exchanges`: how it asks each of its companions. `seed`: of its random pauses.
    """

    def __init__(
        self,
        workload: Workload,
        config: DeviceConfig,
        energy: EnergySettings,
        *,
        exchanges: Mapping[str, CompanionExchange],
        turn: Turn,
        seed: int = 0,
    ) -> None:
        package, slowdown = workload.package, workload.slowdown
        self._clock = clock = asyncio.get_running_loop().time
        self._turn = turn
        self.thread = SimulatedThread(stop_s=lambda: workload.stop_s(turn.luck))
        self.companions = [
            Companion(
                CloudSettings(name=name, url=f"http://{name}"),
                config.link,
                config.failover,
                exchange=exchange,
                clock=clock,
                pause=Pause(Random(seed).uniform),  # noqa: S311  nothing secret
            )
            for name, exchange in exchanges.items()
        ]
        engine, lane = Engine(threads=1, cache_bytes=0), Lane(self.thread, clock=clock)
        settings = DeviceModelSettings(default=package.manifest.name)
        self._models = LoadedModels(Store([]), engine, lane, settings=settings)
        self.model = self._models.put(workload.model())
        # How long images take to prepare is known in the device's own seconds.
        prep_ms = workload.profile.prep_ms * slowdown
        self.model.take_profile(msgspec.structs.replace(workload.profile, prep_ms=prep_ms))
        little = None if workload.shown is None or workload.shown.little is None else workload.shown.little.model()
        if little is not None:
            self._models.put(little)
        self._learned = Learned(SpeedFactor(slowdown), clock=clock)
        counters, told = Counters(), journal.Journal(clock)
        self._outcomes = Outcomes(self._learned, counters, told)
        machinery = Machinery(
            lane=lane,
            engine=engine,
            compute=simulated_compute(workload, self.model, self.thread, little=little, turn=turn),
            models=self._models,
            learned=self._learned,
            clock=clock,
            counters=counters,
            journal=told,
            outcomes=self._outcomes,
            streams=Streams(),
            ledger=Ledger(None, clock=clock),
            audits=Taken(),
            health=HealthTracker(clock),
            started=clock(),
        )
        senses = Senses(energy, SHOWS_NOTHING, clock=clock)
        self._config = config
        self._generation = Generation(Loaded(config, None), machinery, companions=self.companions, senses=senses)
        self._plane = DeviceDataPlane(self._generation, self._models)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Surrounds the calls: watchers watch the companions."""
        async with AsyncExitStack() as watched:
            for companion in self.companions:
                watcher = Watcher(companion, self._config.link, self._models.packages, slept_s=_never)
                about = background(f"watching {companion.name}", watcher.run, companion.give_up)
                await watched.enter_async_context(about)
            yield

    async def infer(self, inputs: Mapping[str, npt.NDArray[np.generic]], *, stream: str | None = None) -> Result:
        """Answer one request, whose number and luck `turn` says."""
        parameters = {} if stream is None else {"stream": stream}
        tensors = [wire.Tensor.from_array(*each) for each in inputs.items()]
        await self._plane.infer(self.model.manifest.name, wire.InferRequest(tensors, parameters=parameters))
        self._outcomes.take_in()
        result = self._learned.history.last
        assert result is not None, "an answer was just remembered"  # noqa: S101
        # Nobody asks what it did before. The last 500 answers of each of 10,000 devices would not fit into memory.
        self._learned.history = History(self._clock)
        return result


def _never() -> float:
    """How long the machine has slept."""
    return 0.0
