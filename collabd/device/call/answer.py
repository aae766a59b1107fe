"""Makes what the caller sees, from the record of what happened to a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from collab_sdk import wire
from collab_sdk.answers import RawOutputs
from collab_sdk.budget import Budget
from collab_sdk.result import MODEL_VERSION, Result, Timings, stated
from collab_sdk.text import plain
from collab_sdk.vocabulary import Cap, Precision, TaskKind
from collabd.codec import LOSSLESS
from collabd.device.decide.call_plan import CallPlan
from collabd.device.job.job import CallRecord, Phase
from collabd.planning import Caps
from collabd.planning.candidates import SOURCE
from collabd.planning.precisions import Precisions
from collabd.tasks.tensors import Outputs

_LOSSLESS = LOSSLESS | {SOURCE}
# What a result calls each phase.
_SAID_AS: dict[Phase, str] = {phase: f"{phase}_ms" for phase in get_args(Phase)} | {"link": "upload_ms"}


class CallAnswer:
    """What the caller is told of a call that has ended: its answer, and where that comes from.

    The response is made at once, and what the daemon keeps for those who ask when somebody needs it: the `Result`,
    without the arrays of the answer, which may take megabytes, and the answer in a line.
    """

    __slots__ = ("_budget", "_energy_mj", "_planned", "_record", "_size", "_unmet", "fidelity", "said")

    def __init__(
        self,
        planned: CallPlan,
        record: CallRecord,
        said: Callable[[], str],
        *,
        size: tuple[int, int],
        budget: Budget,
        energy_j: float,
    ) -> None:
        """`said`: tells the answer in a line. `record`: changes no more; the call took `energy_j`.

        `size`: width and height of the picture in pixels, as it is shown; (0, 0) if there is none. `fidelity`: how
        often such an answer is the unsplit network's, 0..1; None: nobody knows.
        """
        self._planned = planned
        self._record = record
        self._budget = budget
        self._size = size
        self.said = said
        self._energy_mj = energy_j * 1e3
        self.fidelity = _fidelity(planned, record)
        self._unmet = _unmet(planned.caps, record, energy_j=energy_j, fidelity=self.fidelity)

    def response(self, answered: Outputs, request_id: str = "") -> wire.InferResponse:
        """The answer as the caller gets it: `answered`, by name, and what `encode_result` makes of the result."""
        planned, record = self._planned, self._record
        model = planned.job.model
        said: dict[str, Any] = {
            "digest": model.digest,
            "energy_mj": self._energy_mj,
            "energy_source": self._planned.energy_source,
            "cost": record.cost,
            "fidelity": self.fidelity,
            "bytes_up": record.bytes_up,
            "bytes_down": record.bytes_down,
            "budget_met": not self._unmet,
            "degraded": record.degraded,
            "why": _why(planned, record),
            "answered_by": _answered_by(planned, record),
            "ran": record.ran,
            "ran_on": _ran_on(record),
            "computed_in": str(_computed_in(planned, record)),
            "inherited_age_s": record.inherited_age_s,
            "unmet": ",".join(self._unmet),
            "task": model.kind,
        }
        if model.manifest.picture is not None:
            said["image_width"], said["image_height"] = self._size
        parameters = stated(said) | stated(_measured(record), "measured.") | self._planned.stated
        outputs = [wire.Tensor.from_array(name, array) for name, array in answered.items()]
        return wire.InferResponse(model.manifest.name, MODEL_VERSION, outputs, id=request_id, parameters=parameters)

    def result(self) -> Result:
        """Where the answer comes from."""
        planned, record = self._planned, self._record
        model = planned.job.model
        return Result(
            model=model.manifest.name,
            digest=model.digest,
            task=TaskKind(model.kind),
            answer=RawOutputs(),
            image_width=self._size[0] or None,
            image_height=self._size[1] or None,
            plan=planned.told,
            predicted=planned.predicted,
            measured=Timings(**_measured(record)),
            energy_mj=self._energy_mj,
            energy_source=planned.energy_source,
            cost=record.cost,
            fidelity=self.fidelity,
            bytes_up=record.bytes_up,
            bytes_down=record.bytes_down,
            budget_met=not self._unmet,
            unmet=self._unmet,
            degraded=record.degraded,
            why=_why(planned, record),
            answered_by=_answered_by(planned, record),
            ran=record.ran,
            ran_on=_ran_on(record),
            computed_in=str(_computed_in(planned, record)),
            inherited_age_s=record.inherited_age_s,
            budget=self._budget,
        )


def _measured(record: CallRecord) -> dict[str, float]:
    """The call and its phases in milliseconds, by their names in `Timings`."""
    taken = {_SAID_AS[phase]: seconds * 1e3 for phase, seconds in record.phases.items()}
    taken["latency_ms"] = record.latency_s * 1e3
    return taken


def _answered_by(planned: CallPlan, record: CallRecord) -> str | None:
    """The little network that answered; None: the call's own network did."""
    little = planned.job.little
    return little.model.manifest.name if record.little_answered and little is not None else None


def _ran_on(record: CallRecord) -> str | None:
    return "+".join(dict.fromkeys(record.ran_on)) or None


def _why(planned: CallPlan, record: CallRecord) -> str:
    """Why the plan was not followed, or why the answer is not that of the call's own network to this picture."""
    little = planned.job.little
    if record.little_answered and little is not None and record.opinion is not None:
        found = f"{little.score} {record.opinion.sureness:.3f}, at least {little.least:.3f}"
        return f"{little.model.manifest.name} in {little.precision} was sure: {found}"
    return plain("; ".join(filter(None, (record.why, record.remark))))


def _computed_in(planned: CallPlan, record: CallRecord) -> Precisions:
    """In which precisions the layers before and behind the crossing really ran."""
    planned_in = planned.job.precisions
    if record.tail is None or record.tail == planned_in.tail:
        return planned_in
    # Without a head they were one.
    head = planned_in.head if "D" in planned.placement else record.tail
    return Precisions(head, record.tail)


def _fidelity(planned: CallPlan, record: CallRecord) -> float | None:
    """The expected agreement with the unsplit fp32 network, for the layers as they really ran.

    In fp32 it is 1 when nothing left the device, or when all tensors were sent without loss. What a little network
    answers has the fidelity of its plan, which is that of both networks together; so has an older answer.
    """
    plan = None if planned.row is None else planned.evaluation.plans.rows[planned.row]
    if plan is not None and (record.little_answered or not planned.job.steps):
        return plan.fidelity
    in_fp32 = set(_computed_in(planned, record)) == {Precision.FP32}
    if in_fp32 and ("C" not in record.ran or all(codec in _LOSSLESS for codec in planned.job.codec.split("+"))):
        return 1.0
    if plan is None:
        return None
    # Only the device runs a tail in another graph than the plan's.
    return plan.fidelity if record.tail in {None, plan.tail, plan.tail.graph} else plan.local_fidelity


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
