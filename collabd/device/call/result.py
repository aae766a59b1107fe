"""Makes the `Result` that the caller sees, from the record of what happened to a job."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.budget import Budget
from collab_sdk.result import Result, Timings
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
# The phases that a result calls by another name.
_SAID_AS: dict[Phase, str] = {"link": "upload"}
_ON_DEVICE: tuple[Phase, ...] = ("prep", "head", "encode", "local_tail")


def result(planned: CallPlan, record: CallRecord, output: npt.NDArray[np.float32], *, budget: Budget) -> Result:
    """The answer with its provenance. `output` is the output of the network, float32 [1, labels]."""
    model = planned.job.model
    measured = _measured(record)
    joules = outcome_energy_j(record, planned.evaluation.device)
    fidelity = _fidelity(planned, record)
    unmet = _unmet(planned.caps, record, energy_j=joules, fidelity=fidelity)
    return Result(
        model=model.manifest.name,
        digest=model.digest,
        scores=as_probabilities(output[0], model.manifest.output_kind),
        labels=model.manifest.labels,
        plan=planned.told,
        predicted=planned.predicted,
        measured=measured,
        energy_mj=joules * 1e3,
        energy_source=planned.energy_source,
        cost=record.cost,
        fidelity=fidelity,
        bytes_up=record.bytes_up,
        bytes_down=record.bytes_down,
        budget_met=not unmet,
        unmet=unmet,
        degraded=record.degraded,
        why=plain(record.why),
        ran=record.ran,
        budget=budget,
    )


def _measured(record: CallRecord) -> Timings:
    taken = {f"{_SAID_AS.get(phase, phase)}_ms": seconds * 1e3 for phase, seconds in record.phases.items()}
    return Timings(latency_ms=record.latency_s * 1e3, **taken)


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
    broken = {
        Cap.LATENCY: caps.latency_s is not None and record.latency_s > caps.latency_s,
        Cap.ENERGY: caps.energy_j is not None and energy_j > caps.energy_j,
        Cap.COST: caps.cost is not None and record.cost > caps.cost,
        Cap.FIDELITY: fidelity is None or fidelity < caps.fidelity,
    }
    return tuple(name for name, is_broken in broken.items() if is_broken)
