"""What a configuration decides: who plans and runs the calls. A new configuration gets a new core."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from collabd.config import DeviceConfig, Loaded
from collabd.device.call.dispatcher import Dispatcher
from collabd.device.companions.companion import Companion
from collabd.device.counters import Counters
from collabd.device.decide.planner import Planner
from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.report.reporter import Reporter
from collabd.device.run.executor import Executor
from collabd.device.senses import Senses
from collabd.engine import Engine


@dataclass(frozen=True)
class Machinery:
    """What lives as long as the daemon."""

    lane: Lane
    engine: Engine
    models: LoadedModels
    counters: Counters = field(default_factory=Counters)
    started: float = field(default_factory=time.monotonic)


class Generation:
    """Built once the models are warm."""

    def __init__(
        self,
        loaded: Loaded[DeviceConfig],
        machinery: Machinery,
        companions: Sequence[Companion],
        senses: Senses,
        before: Generation | None,
    ) -> None:
        """It takes over from `before` what that has learned."""
        config = loaded.config
        self.loaded = loaded
        self.companions = companions
        self.senses = senses
        self.planner = Planner(config, companions, senses, machinery.lane.wait_s)
        executor = Executor(machinery.engine, machinery.lane, hedge_price=config.failover.hedge_price)
        self.dispatcher = Dispatcher(config, machinery.models, self.planner, executor)
        self.dispatcher.counters = machinery.counters
        self.dispatcher.is_ready = True
        if before is not None:
            self.planner.speed, self.planner.overhead = before.planner.speed, before.planner.overhead
            self.dispatcher.last = before.dispatcher.last
        self.reporter = Reporter(
            config,
            machinery.models,
            self.planner,
            companions,
            machinery.engine,
            self.dispatcher,
            senses,
            machinery.started,
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
