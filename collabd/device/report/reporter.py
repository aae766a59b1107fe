"""Makes the reports of `collab_sdk.reports` from the current state of the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from collab_sdk.budget import Budget
from collab_sdk.reports import (
    CalibrationReport,
    CloudReport,
    CodecReport,
    CutReport,
    ExplainReport,
    LastReport,
    LayersReport,
    LinkReport,
    ModelReport,
    ProfileReport,
    StatusReport,
)
from collab_sdk.vocabulary import BreakerState, CompanionState
from collabd import __version__
from collabd.catalog.package.manifest import Agreement, CodecFigures, Cut
from collabd.device.call.history import History
from collabd.device.companions.companion import Companion
from collabd.device.counters import Counters
from collabd.device.decide.evaluation import Evaluation
from collabd.device.decide.planner import Planner
from collabd.device.job.options import CallOptions
from collabd.device.job.placement import LOCAL_CUT
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.device.report.machine import device_report
from collabd.device.senses import Senses
from collabd.engine import Engine
from collabd.planning.candidates import SOURCE
from collabd.planning.choose import verdicts


class Reporter:
    """Reads the parts of the daemon and never changes them."""

    def __init__(
        self,
        *,
        models: LoadedModels,
        planner: Planner,
        companions: Sequence[Companion],
        engine: Engine,
        senses: Senses,
        history: History,
        counters: Counters,
        catch_up: Callable[[], None],
        uptime_s: Callable[[], float],
    ) -> None:
        self._models = models
        self._planner = planner
        self._companions = companions
        self._engine = engine
        self._senses = senses
        self._history = history
        self._counters = counters
        # Takes in the calls that have ended.
        self._catch_up = catch_up
        self._uptime_s = uptime_s

    def status(self) -> StatusReport:
        """The state of the daemon, its models, its companions and its last call."""
        self._catch_up()
        return StatusReport(
            version=__version__,
            pid=os.getpid(),
            uptime_s=self._uptime_s(),
            ready=True,  # the socket opens only when the daemon is ready
            models=[self.model(model) for model in self._models],
            clouds=[self._cloud(companion) for companion in self._companions],
            device=device_report(
                self._senses.snapshot, self._engine.stats, speed_factor=self._planner.device_state().speed
            ),
            requests=self._counters.report,
            last=self._last(),
        )

    def model(self, model: DeviceModel) -> ModelReport:
        """The report of one loaded model."""
        return ModelReport(
            name=model.manifest.name,
            digest=model.digest,
            layers=len(model.manifest.layers),
            cuts=len(model.manifest.cuts),
            profiled=model.profile is not None,
            path=str(model.package.path),
        )

    def layers(self, model: DeviceModel) -> LayersReport:
        """The layers of a model, in the order of the letters of a placement."""
        cuts = {cut.name for cut in model.manifest.cuts}
        return LayersReport(
            model=model.manifest.name,
            digest=model.digest,
            layers=[
                {"name": layer.name, "op": layer.op, "macs": layer.macs, "candidate": layer.name in cuts}
                for layer in model.manifest.layers
            ],
            codecs=[_calibration(cut, figures) for cut in model.manifest.cuts for figures in cut.codecs],
        )

    def explain(self, last: int) -> ExplainReport:
        """The `last` most recent decisions, with their candidates."""
        self._catch_up()
        return ExplainReport(decisions=self._history.report(last))

    def profile(self, model: DeviceModel, budget: str | None) -> ProfileReport:
        """The measured and predicted figures of each candidate cut, for a picture that has the network's input size."""
        self._catch_up()
        options = CallOptions.from_parameters({"budget": budget} if budget else {})
        evaluation = self._planner.evaluate(model, None, options)
        companion = next((each for each in self._companions if model.digest in each.profiles), None)
        profile = model.profile
        return ProfileReport(
            model=model.manifest.name,
            digest=model.digest,
            machine="not profiled yet" if profile is None else f"{profile.machine.cpu}, {profile.threads} threads",
            budget=str(Budget.parse(budget)),
            whole_ms=model.whole_s * 1e3,
            prep_ms=None if profile is None else profile.prep_ms,
            cloud=None if companion is None else companion.name,
            link=None if companion is None else _link(companion),
            rows=self._rows(model, evaluation),
        )

    def _rows(self, model: DeviceModel, evaluation: Evaluation) -> list[CutReport]:
        plans = evaluation.plans
        reasons = verdicts(
            plans,
            evaluation.prediction,
            evaluation.caps,
            decision=self._planner.decide(evaluation),
            allowed=evaluation.allowed,
        )
        overall = {(cut.name, each.codec): each.overall for cut in model.manifest.cuts for each in cut.codecs}
        heads = {cut.name: cut.head_layers for cut in model.manifest.cuts} | {LOCAL_CUT: len(model.manifest.layers)}
        rows: dict[tuple[str, int | None], CutReport] = {}
        for row, plan in enumerate(plans.rows):
            if plan.codec == SOURCE:
                continue  # this report assumes decoded pixels, so there is no file to send
            remote = plan.cloud is not None
            cut = rows.setdefault(
                (plan.cut, plan.cloud),
                CutReport(
                    cut=plan.cut,
                    cloud=None if plan.cloud is None else self._companions[plan.cloud].name,
                    head_layers=heads[plan.cut],
                    head_ms=plan.head_s * 1e3,
                    tail_ms=plan.tail_s * 1e3 if remote else None,
                    local_tail_ms=plan.local_tail_s * 1e3 if remote else None,
                    codecs={},
                ),
            )
            cut["codecs"][plan.codec] = CodecReport(
                bytes=int(plan.up_bytes) if remote else None,
                fidelity=plan.fidelity,
                overall=overall.get((plan.cut, plan.codec), 1.0),
                encode_ms=plan.encode_s * 1e3 if remote else None,
                decode_ms=plan.decode_s * 1e3 if remote else None,
                predicted_ms=float(evaluation.prediction.expected_s[row]) * 1e3,
                predicted_energy_mj=float(evaluation.prediction.energy_j[row]) * 1e3,
                predicted_cost=float(evaluation.prediction.cost[row]),
                verdict=reasons[row],
            )
        return sorted(rows.values(), key=lambda report: (report["cloud"] or "", report["head_layers"]))

    def _cloud(self, companion: Companion) -> CloudReport:
        return CloudReport(
            name=companion.name,
            url=companion.cloud.url,
            state=_state(companion),
            **_link(companion),
            speed_factor=companion.slowness,
            queue_ms=companion.queue_s * 1e3,
            load=companion.load,
            breaker=companion.breaker_state,
            problem=None if companion.is_up() else companion.problem,
            packages=sorted(companion.profiles),
            lacks={digest: lack.why for digest, lack in companion.lacks.items()},
        )

    def _last(self) -> LastReport | None:
        last = self._history.last
        if last is None:
            return None
        return LastReport(
            model=last.model,
            cut=last.plan.cut,
            codec=last.plan.codec,
            placement=last.plan.placement,
            cloud=last.plan.cloud,
            reason=last.plan.reason,
            predicted_ms=last.predicted.latency_ms,
            measured_ms=last.measured.latency_ms or 0.0,
            budget_met=last.budget_met,
            degraded=last.degraded,
            why=last.why,
        )


def _calibration(cut: Cut, figures: CodecFigures) -> CalibrationReport:
    agreement = figures.agreement or Agreement(agreed=0, images=0, sure_agreed=0, sure_images=0)
    return CalibrationReport(
        cut=cut.name,
        codec=figures.codec,
        bytes=figures.bytes_median,
        fidelity=figures.fidelity,
        overall=figures.overall,
        sure_agreed=agreement.sure_agreed,
        sure_images=agreement.sure_images,
        agreed=agreement.agreed,
        images=agreement.images,
    )


def _state(companion: Companion) -> CompanionState:
    if companion.is_up():
        return CompanionState.BUSY if companion.is_busy else CompanionState.UP
    closed = companion.breaker_state is BreakerState.CLOSED
    return CompanionState.UNKNOWN if closed and not companion.reached else CompanionState.DOWN


def _link(companion: Companion) -> LinkReport:
    reading = companion.link_now
    if reading.age_s is None:
        return LinkReport(rtt_ms=None, up_mbps=None, down_mbps=None, age_s=None)
    return LinkReport(
        rtt_ms=reading.rtt_s * 1e3,
        up_mbps=8e-6 / reading.up_s_per_byte,
        down_mbps=8e-6 / reading.down_s_per_byte,
        age_s=reading.age_s,
    )
