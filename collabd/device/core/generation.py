"""What a configuration decides: who plans and runs the calls. A new configuration gets a new core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from collabd.clock import Clock
from collabd.config import DeviceConfig, Loaded
from collabd.device.call.dispatcher import Dispatcher
from collabd.device.call.learned import Learned
from collabd.device.companions.companion import Companion
from collabd.device.counters import Counters
from collabd.device.decide.planner import Planner
from collabd.device.journal import Journal
from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.report.reporter import Reporter
from collabd.device.run.executor import Executor
from collabd.device.senses import Senses
from collabd.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Machinery:
    """What lives as long as the daemon."""

    lane: Lane
    engine: Engine
    models: LoadedModels
    learned: Learned
    clock: Clock
    counters: Counters
    journal: Journal
    started: float


class Generation:
    """Built once the models are warm."""

    def __init__(
        self,
        loaded: Loaded[DeviceConfig],
        machinery: Machinery,
        companions: Sequence[Companion],
        senses: Senses,
    ) -> None:
        config, learned, clock = loaded.config, machinery.learned, machinery.clock
        self.loaded = loaded
        self.companions = companions
        self.senses = senses
        self.planner = Planner(
            config,
            companions,
            senses,
            speed=learned.speed,
            overhead=learned.overhead,
            past_plans=learned.past_plans,
            lane_wait_s=machinery.lane.wait_s,
            clock=clock,
        )
        self.dispatcher = Dispatcher(
            models=machinery.models,
            planner=self.planner,
            executor=Executor(machinery.engine, machinery.lane, hedge_price=config.failover.hedge_price),
            learned=learned,
            counters=machinery.counters,
            journal=machinery.journal,
            clock=clock,
        )
        self.reporter = Reporter(
            models=machinery.models,
            planner=self.planner,
            companions=companions,
            engine=machinery.engine,
            senses=senses,
            history=learned.history,
            counters=machinery.counters,
            slowdown=machinery.lane.slowdown,
            uptime_s=lambda: clock() - machinery.started,
        )
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def call(self) -> Iterator[Dispatcher]:
        """Around each call that it serves."""
        self._calls += 1
        self._idle.clear()
        try:
            yield self.dispatcher
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def end_of_calls(self) -> None:
        """Return when it serves none."""
        await self._idle.wait()
