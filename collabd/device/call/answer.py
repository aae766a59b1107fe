"""Makes what the caller sees, from the record of what happened to a job."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.budget import Budget
from collab_sdk.result import Result, Timings, response_of, stated
from collab_sdk.text import plain
from collab_sdk.vocabulary import Cap
from collabd.catalog.package.scores import as_probabilities
from collabd.codec import LOSSLESS
from collabd.device.decide.call_plan import CallPlan
from collabd.device.job.job import CallRecord, Phase
from collabd.planning import Caps, DeviceState
from collabd.planning.candidates import SOURCE
from collabd.planning.energy import energy_j

_LOSSLESS = LOSSLESS | {SOURCE}
# What a result calls each phase.
_SAID_AS: dict[Phase, str] = {phase: f"{phase}_ms" for phase in get_args(Phase)} | {"link": "upload_ms"}
_ON_DEVICE: tuple[Phase, ...] = ("prep", "head", "encode", "local_tail")


class CallAnswer:
    """What the caller is told of a call that has ended: its scores, and where they come from.

    The response is made at once, and the `Result`, which the daemon keeps for those who ask, when somebody needs it.
    """

    __slots__ = ("_budget", "_energy_mj", "_fidelity", "_planned", "_record", "_scores", "_unmet")

    def __init__(
        self, planned: CallPlan, record: CallRecord, output: npt.NDArray[np.float32], *, budget: Budget
    ) -> None:
        """`output`: of the network, float32 [1, labels]. `record`: changes no more."""
        joules = outcome_energy_j(record, planned.evaluation.device)
        self._planned = planned
        self._record = record
        self._budget = budget
        self._scores = as_probabilities(output[0], planned.job.model.manifest.output_kind)
        self._energy_mj = joules * 1e3
        self._fidelity = _fidelity(planned, record)
        self._unmet = _unmet(planned.caps, record, energy_j=joules, fidelity=self._fidelity)

    def response(self, request_id: str = "") -> wire.InferResponse:
        """What `encode_result` makes of the result."""
        model, record = self._planned.job.model, self._record
        said: dict[str, Any] = {
            "digest": model.digest,
            "energy_mj": self._energy_mj,
            "energy_source": self._planned.energy_source,
            "cost": record.cost,
            "fidelity": self._fidelity,
            "bytes_up": record.bytes_up,
            "bytes_down": record.bytes_down,
            "budget_met": not self._unmet,
            "degraded": record.degraded,
            "why": plain(record.why) if record.why else "",
            "ran": record.ran,
            "unmet": ",".join(self._unmet),
        }
        parameters = stated(said) | stated(_measured(record), "measured.") | self._planned.stated
        return response_of(model.manifest.name, self._scores, parameters, request_id=request_id)

    def result(self) -> Result:
        """The answer with its provenance."""
        planned, record = self._planned, self._record
        model = planned.job.model
        return Result(
            model=model.manifest.name,
            digest=model.digest,
            scores=self._scores,
            labels=model.manifest.labels,
            plan=planned.told,
            predicted=planned.predicted,
            measured=Timings(**_measured(record)),
            energy_mj=self._energy_mj,
            energy_source=planned.energy_source,
            cost=record.cost,
            fidelity=self._fidelity,
            bytes_up=record.bytes_up,
            bytes_down=record.bytes_down,
            budget_met=not self._unmet,
            unmet=self._unmet,
            degraded=record.degraded,
            why=plain(record.why),
            ran=record.ran,
            budget=self._budget,
        )


def _measured(record: CallRecord) -> dict[str, float]:
    """The call and its phases in milliseconds, by their names in `Timings`."""
    taken = {_SAID_AS[phase]: seconds * 1e3 for phase, seconds in record.phases.items()}
    taken["latency_ms"] = record.latency_s * 1e3
    return taken


def outcome_energy_j(record: CallRecord, device: DeviceState) -> float:
    """The energy in joules that the call took from the battery, computed from measured times.

    The device counts as idle whenever it was not busy with the call.
    """
    phases_s = sum(record.phases.get(phase, 0.0) for phase in _ON_DEVICE)
    busy_s = phases_s + record.overtaken_s + device.overhead_s
    return energy_j(
        device,
        busy_s=busy_s,
        idle_s=max(record.latency_s - busy_s, 0.0),
        air_s=record.air_s,
        moved_bytes=float(record.bytes_up + record.bytes_down),
    )


def _fidelity(planned: CallPlan, record: CallRecord) -> float | None:
    """The expected agreement with the unsplit network, for the layers as they really ran.

    It is 1 when nothing left the device, or when all tensors were sent without loss.
    """
    if "C" not in record.ran or all(codec in _LOSSLESS for codec in planned.job.codec.split("+")):
        return 1.0
    return None if planned.row is None else planned.evaluation.plans.rows[planned.row].fidelity


def _unmet(caps: Caps, record: CallRecord, *, energy_j: float, fidelity: float | None) -> tuple[Cap, ...]:
    unmet: list[Cap] = []
    if caps.latency_s is not None and record.latency_s > caps.latency_s:
        unmet.append(Cap.LATENCY)
    if caps.energy_j is not None and energy_j > caps.energy_j:
        unmet.append(Cap.ENERGY)
    if caps.cost is not None and record.cost > caps.cost:
        unmet.append(Cap.COST)
    if fidelity is None or fidelity < caps.fidelity:
        unmet.append(Cap.FIDELITY)
    return tuple(unmet)
