"""One call from request to response: read it, plan it, run it, learn from it. Knows nothing of HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from collab_sdk import wire
from collab_sdk.errors import BudgetInfeasible
from collab_sdk.result import SCORES, Result, encode_result
from collabd import __version__
from collabd.config import DeviceConfig
from collabd.device.counters import Counters
from collabd.device.executor import Executor
from collabd.device.history import History
from collabd.device.job import Record
from collabd.device.model import Model
from collabd.device.models import Models
from collabd.device.options import Options
from collabd.device.photo import Photo
from collabd.device.planner import Planned, Planner
from collabd.device.results import predicted, result
from collabd.requested import EXTENSIONS, as_asked, check_outputs

log = logging.getLogger(__name__)


class Dispatcher:
    """The device's data plane (`collabd.oip.DataPlane`)."""

    def __init__(self, config: DeviceConfig, models: Models, planner: Planner, executor: Executor) -> None:
        self._models = models
        self._planner = planner
        self._executor = executor
        self._min_fidelity = config.planning.min_fidelity
        self.counters = Counters()
        self.history = History()
        self.last: Result | None = None
        self.is_ready = False
        self._records: list[Record] = []

    def ready(self) -> bool:
        """Whether the models are warm."""
        return self.is_ready

    def server_metadata(self) -> dict[str, Any]:
        """Name, version and extensions of the protocol."""
        return {"name": "collabd", "version": __version__, "extensions": list(EXTENSIONS)}

    def models(self) -> list[str]:
        """Names of the loaded models."""
        return [model.manifest.name for model in self._models]

    def model_ready(self, name: str) -> bool:
        """Loaded models are warm."""
        return bool(self._models.get(name))

    def model_metadata(self, name: str) -> dict[str, Any]:
        """The protocol's metadata; its parameters say labels, digest, and whether the scores are `independent`."""
        model = self._models.get(name)
        manifest = model.manifest
        kind = "independent" if manifest.output_kind == "independent" else "probabilities"
        return {
            "name": manifest.name,
            "platform": "onnxruntime",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, 3]}],
            "outputs": [{"name": SCORES, "datatype": "FP32", "shape": [1, len(manifest.labels)]}],
            "parameters": {"digest": model.digest, "labels": list(manifest.labels), "scores": kind},
        }

    async def infer(self, name: str, request: wire.InferRequest, arrived: float | None = None) -> wire.InferResponse:
        """Answer one call, whose time counts from when it `arrived` (`time.perf_counter`'s clock; None: from now)."""
        options = Options.from_parameters(request.parameters)
        check_outputs(request.outputs, SCORES, there=(SCORES,))
        record = Record() if arrived is None else Record(arrived, waited_s=time.perf_counter() - arrived)
        with self.counters.call(), self._models.lent(name) as model, self._under_way(record):
            planned = await self._plan(model, request, options, record.waited_s)
            output = await self._executor.run(planned.job, record)
            answer = result(planned, record, output, self._planner.device_state(), self._planner.energy_source)
            answer = replace(answer, budget=options.budget)
            self._learn(planned, record)
            self.counters.answered(answer)
        self.history.add(planned, options.budget, answer)
        self.last = answer
        response = encode_result(answer, request.id)
        return replace(response, outputs=as_asked(response.outputs, request.outputs, answer.labels))

    @contextmanager
    def _under_way(self, record: Record) -> Iterator[None]:
        """Around each call: who meets another is not alone."""
        record.alone = not self._records
        for other in self._records:
            other.alone = False
        self._records.append(record)
        try:
            yield
        finally:
            self._records = [other for other in self._records if other is not record]

    async def _plan(self, model: Model, request: wire.InferRequest, options: Options, waited_s: float) -> Planned:
        photo = Photo.from_request(request)
        planned = await self._planner.plan(model, photo, options, waited_s)
        if planned.unmet and options.on_infeasible == "fail":
            figures = {key: value for key, value in asdict(predicted(planned)).items() if value is not None}
            raise BudgetInfeasible(
                f"no plan keeps the budget {str(options.budget) or '(default fidelity)'}: the nearest plan, cut "
                f"{planned.cut} with codec {planned.job.codec}, misses {', '.join(planned.unmet)} (predicted: "
                f"{figures['latency_ms']:.1f} ms, {figures['energy_mj']:.0f} mJ, cost {figures['cost']:g})",
                {"cut": planned.cut, "codec": planned.job.codec, "unmet": ",".join(planned.unmet), **figures},
            )
        return planned

    def _learn(self, planned: Planned, record: Record) -> None:
        job, now, expected = planned.job, time.monotonic(), self._planner.slowdown()
        if record.prep_s is not None:
            job.model.prep.learn(job.photo.pixels / 1e6, record.prep_s, now)
        if not record.why:
            self._planner.overhead.learn(record.unaccounted_s(), now, alone=record.alone)
        for measured_s, profiled_s in record.speed_here:
            self._planner.speed.learn(measured_s=measured_s, profiled_s=profiled_s, now=now, expected=expected)
        if job.companion is not None:
            for measured_s, profiled_s in record.speed_there:
                job.companion.learn_speed(measured_s, profiled_s)
