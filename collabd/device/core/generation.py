"""The parts of the daemon that depend on the configuration. Each new configuration gets a new generation of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from collabd.clock import Clock
from collabd.config import DeviceConfig, Loaded, PlanningSettings
from collabd.device.audit.auditor import Asks, Auditor
from collabd.device.audit.pace import AuditPace, Taken
from collabd.device.audit.pictures import RecentPictures
from collabd.device.call.dashboard_pictures import DashboardPictures
from collabd.device.call.dispatcher import Dispatcher
from collabd.device.call.learned import Learned
from collabd.device.call.outcomes import Outcomes
from collabd.device.call.recall import Recalls
from collabd.device.call.second_opinions import SecondOpinions
from collabd.device.companions.companion import Companion
from collabd.device.core.reduced_answers import reduced_answer
from collabd.device.counters import Counters
from collabd.device.decide.planner import Planner
from collabd.device.fidelity.ledger import Crossed, Ledger
from collabd.device.journal import Journal
from collabd.device.lane.lane import Lane
from collabd.device.memory.streams import Streams
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.device.report.reporter import Reporter
from collabd.device.run.ahead import SessionsAhead
from collabd.device.run.compute import Compute
from collabd.device.run.executor import Executor, unseen
from collabd.device.senses import Senses, on_battery
from collabd.engine import Engine
from collabd.health.tracker import HealthTracker
from collabd.limits.memory import memory_is_scarce
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
    ledger: Ledger
    streams: Streams
    audits: Taken
    health: HealthTracker
    started: float
    # None: nobody is shown any.
    shown: DashboardPictures | None = None


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
            little_of=machinery.models.little_of,
            fidelities_of=machinery.ledger.of,
            clock=clock,
        )
        pictures = RecentPictures()
        self.auditor = _auditor(
            config.planning, machinery, pictures, companions=companions, planner=self.planner, senses=senses
        )
        self.ahead = SessionsAhead(
            self.planner.likely_jobs, self.planner.chose_anew, machinery.engine, lane=machinery.lane
        )
        executor = Executor(
            machinery.compute,
            machinery.lane,
            hedge_price=config.failover.hedge_price,
            saw=unseen if self.auditor is None else pictures.saw,
        )
        self.dispatcher = Dispatcher(
            models=machinery.models,
            planner=self.planner,
            executor=executor,
            recalls=Recalls(machinery.streams, executor, inherit_s=config.planning.inherit_s),
            second_opinions=None if self.auditor is None else _second_opinions(executor, machinery, self.planner),
            outcomes=machinery.outcomes,
            counters=machinery.counters,
            clock=clock,
            shown=machinery.shown,
        )
        self.reporter = Reporter(
            models=machinery.models,
            planner=self.planner,
            companions=companions,
            engine=machinery.engine,
            senses=senses,
            history=learned.history,
            stream_calls=learned.stream_calls,
            health=machinery.health,
            counters=machinery.counters,
            audits=machinery.audits,
            audit_share=config.planning.audit_share,
            catch_up=machinery.outcomes.take_in,
            uptime_s=lambda: clock() - machinery.started,
        )


def _tell(journal: Journal, model: DeviceModel, crossed: Crossed) -> None:
    for row, now in crossed.rows.items():
        journal.fidelity_changed(
            model.manifest.name, str(row), least=crossed.least, now=now, allowed=now >= crossed.least
        )


def _second_opinions(executor: Executor, machinery: Machinery, planner: Planner) -> SecondOpinions:
    return SecondOpinions(
        executor,
        machinery.ledger,
        caps=planner.least_fidelities,
        changed=partial(_tell, machinery.journal),
        random=Random(),  # noqa: S311  nothing secret
    )


def _auditor(
    settings: PlanningSettings,
    machinery: Machinery,
    pictures: RecentPictures,
    *,
    companions: Sequence[Companion],
    planner: Planner,
    senses: Senses,
) -> Auditor | None:
    """What learns fidelity in service. None: the configuration does not want it, or there is no memory for it."""
    if not settings.audit_share or memory_is_scarce():
        return None
    return Auditor(
        machinery.models,
        pictures,
        engine=machinery.engine,
        lane=machinery.lane,
        ledger=machinery.ledger,
        asks=Asks(
            questions=planner.recent.questions,
            caps=planner.least_fidelities,
            changed=partial(_tell, machinery.journal),
            little=machinery.models.little_of,
            reduced=partial(reduced_answer, companions),
        ),
        pace=AuditPace(
            settings.audit_share,
            machinery.audits,
            allowed=lambda: not on_battery(senses.snapshot),
            clock=machinery.clock,
        ),
        taken=machinery.audits,
        clock=machinery.clock,
    )
