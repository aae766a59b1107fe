"""What the daemon says of itself: the reports of `collab_sdk.reports`, made from what it knows now."""

from __future__ import annotations

import os
from collections.abc import Callable

from collab_sdk.reports import AnswersReport, CloudStatusReport, EngineReport, LanesReport, PackageReport
from collab_sdk.vocabulary import Precision
from collabd import __version__
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.call.places import Places
from collabd.cloud.counters import CloudCounters
from collabd.cloud.lanes import Lanes
from collabd.cloud.load_meter import LoadMeter
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.model import CloudModel
from collabd.engine import Engine
from collabd.health.tracker import HealthTracker


class CloudReporter:
    """Reads the parts of the daemon; changes none of them."""

    def __init__(
        self,
        *,
        models: CloudModels,
        dispatcher: CloudDispatcher,
        places: Places,
        lanes: Lanes,
        engine: Engine,
        load: LoadMeter,
        counters: CloudCounters,
        health: HealthTracker,
        uptime_s: Callable[[], float],
    ) -> None:
        self._models = models
        self._dispatcher = dispatcher
        self._places = places
        self._lanes = lanes
        self._engine = engine
        self._load = load
        self._counters = counters
        self._health = health
        self._uptime_s = uptime_s

    def status(self) -> CloudStatusReport:
        """How the daemon is."""
        engine = self._engine.stats
        return CloudStatusReport(
            version=__version__,
            pid=os.getpid(),
            uptime_s=round(self._uptime_s(), 1),
            ready=self._dispatcher.open,
            load=self._load.value,
            queue=self._places.waiting,
            lanes=LanesReport(count=self._lanes.count, busy=self._lanes.busy, cores=self._lanes.cores),
            packages=self.packages(),
            engine=EngineReport(
                sessions=engine.sessions,
                bytes=engine.bytes,
                hits=engine.hits,
                builds=engine.builds,
                evictions=engine.evictions,
            ),
            answers=AnswersReport(total=self._counters.answers, last_ms=self._counters.last_ms),
            health=self._health.report(),
        )

    def packages(self) -> list[PackageReport]:
        """The loaded packages."""
        return [self.package(model) for model in self._models.loaded]

    def package(self, model: CloudModel) -> PackageReport:
        """One loaded package."""
        return PackageReport(
            name=model.manifest.name,
            digest=model.digest,
            weight_bytes=model.weight_bytes,
            layers=len(model.manifest.layers),
            cuts=len(model.manifest.cuts),
            provider=self._engine.providers(model.keys[Precision.FP32])[0],
        )
