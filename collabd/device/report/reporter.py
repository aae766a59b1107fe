"""Makes the reports of `collab_sdk.reports` from the current state of the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from collab_sdk.budget import Budget
from collab_sdk.reports import (
    AuditsReport,
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
from collab_sdk.vocabulary import BreakerState, CompanionState, Precision
from collabd import __version__
from collabd.catalog.package.little import little_report
from collabd.catalog.package.manifest import NO_IMAGES, CodecFigures, Cut, Manifest, kind_of
from collabd.catalog.package.package import Package
from collabd.device.audit.pace import Taken
from collabd.device.call.history import History, evidence_report
from collabd.device.call.stream_calls import StreamCalls
from collabd.device.companions.companion import Companion
from collabd.device.counters import Counters
from collabd.device.decide.evaluation import Evaluation
from collabd.device.decide.planner import Planner
from collabd.device.job.options import CallOptions
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.device.report.layer_inputs import layer_inputs
from collabd.device.report.machine import device_report
from collabd.device.senses import Senses
from collabd.engine import Engine
from collabd.health.tracker import HealthTracker
from collabd.planning.candidates import SOURCE
from collabd.planning.choose import verdicts
from collabd.planning.precisions import Precisions
from collabd.profiling.likeness.measures import MEASURES


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
        stream_calls: StreamCalls,
        health: HealthTracker,
        counters: Counters,
        audits: Taken,
        audit_share: float,
        catch_up: Callable[[], None],
        uptime_s: Callable[[], float],
    ) -> None:
        self._models = models
        self._planner = planner
        self._companions = companions
        self._engine = engine
        self._senses = senses
        self._history = history
        self._stream_calls = stream_calls
        self._health = health
        self._counters = counters
        self._audits = audits
        self._audit_share = audit_share
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
            models=self.models(),
            clouds=[self._cloud(companion) for companion in self._companions],
            device=device_report(
                self._senses.snapshot, self._engine.stats, speed_factor=self._planner.device_state().speed
            ),
            requests=self._counters.report,
            audits=self._audited(),
            health=self._health.report(),
            streams=self._stream_calls.report(),
            last=self._last(),
        )

    def statistics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What each of these models has answered, as the protocol's statistics extension says it."""
        self._catch_up()
        return [self._counters.statistics(name).report(name) for name in names]

    def models(self) -> list[ModelReport]:
        """The reports of all models, in memory or put away."""
        return [self.model(package) for package in self._models.packages()]

    def model(self, package: Package) -> ModelReport:
        """The report of one model."""
        manifest = package.manifest
        model = self._in_memory(package)
        return ModelReport(
            name=manifest.name,
            task=kind_of(manifest.task),
            digest=package.digest,
            layers=len(manifest.layers),
            cuts=len(manifest.cuts),
            profiled=self._models.profile(manifest.name) is not None,
            weights_mb=None if model is None else model.weight_bytes / 2**20,
            path=str(package.path),
        )

    def layers(self, model: Package) -> LayersReport:
        """The layers of a model, in the order of the letters of a placement."""
        cuts, little = {cut.name for cut in model.manifest.cuts}, model.manifest.little
        loaded = self._in_memory(model)
        inputs = [None] * len(model.manifest.layers) if loaded is None else layer_inputs(loaded)
        return LayersReport(
            model=model.manifest.name,
            digest=model.digest,
            measure=MEASURES[kind_of(model.manifest.task)],
            layers=[
                {
                    "name": layer.name,
                    "op": layer.op,
                    "macs": layer.macs,
                    "candidate": layer.name in cuts,
                    "inputs": read,
                }
                for layer, read in zip(model.manifest.layers, inputs, strict=True)
            ],
            codecs=[_calibration(cut, figures) for cut in model.manifest.cuts for figures in cut.codecs],
            little=None if little is None else little_report(little, self._models.why_alone(model.manifest)),
        )

    def _in_memory(self, package: Package) -> DeviceModel | None:
        return next((model for model in self._models if model.digest == package.digest), None)

    def explain(self, last: int) -> ExplainReport:
        """The `last` most recent decisions, with their candidates."""
        self._catch_up()
        found_at = {companion.name: companion.found_at for companion in self._companions if companion.found_at}
        return ExplainReport(decisions=self._history.report(last), found_at=found_at)

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
            measure=MEASURES[model.kind],
            least_fidelity=evaluation.caps.fidelity,
            whole_ms=model.whole_s * 1e3,
            whole_int8_ms=None if profile is None else profile.whole_int8_ms,
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
        overall = _overall(model.manifest)
        heads = {cut.name: cut.head_layers for cut in model.manifest.cuts} | {LOCAL_CUT: len(model.manifest.layers)}
        expected_s, energy_j = evaluation.prediction.expected_s, evaluation.prediction.mean_energy_j
        cost, phases = evaluation.prediction.mean_cost, evaluation.prediction.phases._asdict()
        rows: dict[Hashable, CutReport] = {}
        for row, plan in enumerate(plans.rows):
            if plan.codec == SOURCE:
                continue  # this report assumes decoded pixels, so there is no file to send
            remote, precisions, little = plan.cloud is not None, plan.precisions, plan.little
            cut = rows.setdefault(
                (plan.cut, plan.cloud, str(precisions), little and (little.kind, little.precision, little.share)),
                CutReport(
                    cut=plan.cut,
                    precision=str(precisions),
                    cascade=None if little is None else little.kind,
                    little_precision=None if little is None else little.precision,
                    little_share=None if little is None else little.share,
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
                # Of a reduced precision nobody has counted what it does to any image.
                overall=plan.fidelity if plan.tail.is_reduced else overall.get((plan.cut, plan.codec, precisions), 1.0),
                evidence=evidence_report(evaluation.fidelities, plan),
                encode_ms=plan.encode_s * 1e3 if remote else None,
                decode_ms=plan.decode_s * 1e3 if remote else None,
                predicted_ms=float(expected_s[row]) * 1e3,
                phases_ms={name.removesuffix("_s"): float(each[row]) * 1e3 for name, each in phases.items()},
                predicted_energy_mj=float(energy_j[row]) * 1e3,
                predicted_cost=float(cost[row]),
                verdict=reasons[row],
            )
        return sorted(rows.values(), key=lambda report: (report["cloud"] or "", report["head_layers"]))

    def _cloud(self, companion: Companion) -> CloudReport:
        return CloudReport(
            name=companion.name,
            url=companion.cloud.url,
            found_at=companion.found_at,
            state=_state(companion),
            **_link(companion),
            speed_factor=companion.slowness,
            queue_ms=companion.queue_s * 1e3,
            load=companion.load,
            breaker=companion.breaker_state,
            problem=None if companion.is_up() else companion.problem,
            packages=sorted(companion.profiles),
            lacks={digest: lack.why for digest, lack in companion.lacks.items()},
            awaited=[each.digest for each in self._models.packages() if companion.awaits(each.digest)],
        )

    def _audited(self) -> AuditsReport:
        taken = self._audits
        return AuditsReport(
            most=self._audit_share,
            share=taken.core_s / max(self._uptime_s(), 1.0),
            core_s=taken.core_s,
            pictures=taken.pictures,
            copies=taken.copies,
        )

    def _last(self) -> LastReport | None:
        last = self._history.last
        if last is None:
            return None
        return LastReport(
            model=last.model,
            cut=last.plan.cut,
            codec=last.plan.codec,
            precision=last.plan.precision,
            little=last.plan.little,
            little_precision=last.plan.little_precision,
            cascade=last.plan.cascade,
            answered_by=last.answered_by,
            placement=last.plan.placement,
            cloud=last.plan.cloud,
            reason=last.plan.reason,
            predicted_ms=last.predicted.latency_ms,
            measured_ms=last.measured.latency_ms or 0.0,
            budget_met=last.budget_met,
            degraded=last.degraded,
            why=last.why,
        )


def _overall(manifest: Manifest) -> dict[tuple[str, str, Precisions], float]:
    """For plans of one cut, codec and pair of precisions: the expected agreement for any image."""
    found = {
        (cut.name, each.codec, _precisions(cut, each)): each.overall for cut in manifest.cuts for each in cut.codecs
    }
    if (int8 := manifest.whole_int8) is not None:
        found[LOCAL_CUT, NO_CODEC, Precisions(Precision.INT8, Precision.INT8)] = int8.overall
    return found


def _precisions(cut: Cut, figures: CodecFigures) -> Precisions:
    return Precisions(figures.head if cut.head_layers else figures.tail, figures.tail)


def _calibration(cut: Cut, figures: CodecFigures) -> CalibrationReport:
    agreement = figures.agreement or NO_IMAGES
    return CalibrationReport(
        cut=cut.name,
        codec=figures.codec,
        precision=str(_precisions(cut, figures)),
        bytes=figures.bytes_median,
        fidelity=figures.fidelity,
        overall=figures.overall,
        sure_agreed=agreement.sure_agreed,
        sure_images=agreement.sure_images,
        agreed=agreement.agreed,
        images=agreement.images,
        mean_iou=figures.mean_iou,
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
