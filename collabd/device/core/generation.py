"""The parts of the daemon that depend on the configuration. Each new configuration gets a new generation of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collabd.clock import Clock
from collabd.config import DeviceConfig, Loaded
from collabd.device.call.dispatcher import Dispatcher
from collabd.device.call.learned import Learned
from collabd.device.call.outcomes import Outcomes
from collabd.device.companions.companion import Companion
from collabd.device.counters import Counters
from collabd.device.decide.planner import Planner
from collabd.device.journal import Journal
from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.report.reporter import Reporter
from collabd.device.run.ahead import SessionsAhead
from collabd.device.run.compute import Compute
from collabd.device.run.executor import Executor
from collabd.device.senses import Senses
from collabd.engine import Engine
from collabd.use_count import UseCount


@dataclass(frozen=True, kw_only=True)
class Machinery:
    """The parts that live as long as the daemon, whatever the configuration."""

    lane: Lane
    engine: Engine
    compute: Compute
    models: LoadedModels
    learned: Learned
    clock: Clock
    counters: Counters
    journal: Journal
    outcomes: Outcomes
    started: float


class Generation:
    """What plans, runs and reports calls under one configuration. It is built when the models are warm."""

    def __init__(
        self,
        loaded: Loaded[DeviceConfig],
        machinery: Machinery,
        *,
        companions: Sequence[Companion],
        senses: Senses,
    ) -> None:
        # The calls that this generation serves now.
        self.calls = UseCount()
        config, learned, clock = loaded.config, machinery.learned, machinery.clock
        self.loaded = loaded
        self.companions = companions
        self.senses = senses
        self.planner = Planner(
            config,
            companions,
            senses,
            speed=learned.speed,
            overheads=learned.overheads,
            past_plans=learned.past_plans,
            lane_wait_s=machinery.lane.wait_s,
            catch_up=machinery.outcomes.take_in,
            clock=clock,
        )
        self.ahead = SessionsAhead(
            self.planner.likely_jobs, self.planner.chose_anew, machinery.engine, lane=machinery.lane
        )
        self.dispatcher = Dispatcher(
            models=machinery.models,
            planner=self.planner,
            executor=Executor(machinery.compute, machinery.lane, hedge_price=config.failover.hedge_price),
            outcomes=machinery.outcomes,
            counters=machinery.counters,
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
            catch_up=machinery.outcomes.take_in,
            uptime_s=lambda: clock() - machinery.started,
        )
