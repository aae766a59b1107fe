"""One call from request to response: read it, plan it, run it, learn from it. This module knows nothing of HTTP."""

from __future__ import annotations

from dataclasses import asdict

from collab_sdk import wire
from collab_sdk.errors import BudgetInfeasible
from collab_sdk.result import SCORES
from collab_sdk.vocabulary import OnInfeasible, Reason
from collabd.clock import Clock
from collabd.device.call.answer import CallAnswer
from collabd.device.call.outcomes import EndedCall, Outcomes
from collabd.device.counters import Counters
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.planner import Planner
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord
from collabd.device.job.options import CallOptions
from collabd.device.models.loaded import LoadedModels
from collabd.device.run.executor import Executor
from collabd.http.parameters import as_asked, check_outputs


class Dispatcher:
    """Answers calls according to one configuration."""

    def __init__(
        self,
        *,
        models: LoadedModels,
        planner: Planner,
        executor: Executor,
        outcomes: Outcomes,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._models = models
        self._planner = planner
        self._executor = executor
        self._outcomes = outcomes
        self._counters = counters
        self._clock = clock
        self._records: list[CallRecord] = []

    async def infer(
        self, name: str, request: wire.InferRequest, arrived: float | None = None, *, caller_s: float | None = None
    ) -> wire.InferResponse:
        """CallAnswer one call. Its time counts from `arrived`, in seconds on the clock (None: from now).

        `caller_s`: what the caller's program took for the last call of this kind; None: it did not say.
        """
        options = CallOptions.from_parameters(request.parameters)
        check_outputs(request.outputs, SCORES, there=(SCORES,))
        now = self._clock()
        arrived = now if arrived is None else arrived
        record = CallRecord(self._clock, arrived, waited_s=now - arrived, caller_s=caller_s)
        self._begins(record)
        try:
            model = self._models.get(name)
            with model.lent.in_use():
                image = CallImage.from_request(request)
                planned = await self._planner.plan(model, image, options, waited_s=record.waited_s)
                _check_feasible(planned, options)
                output = await self._executor.run(planned.job, image, record)
                answer = CallAnswer(planned, record, output, budget=options.budget)
        except BaseException as error:
            self._ends(record, error)
            raise
        self._ends(record, None)
        self._outcomes.add(
            EndedCall(
                at=record.clock(),
                plan=planned,
                image=image.size,
                record=record,
                served_s=record.served_s(),
                slowdown=self._planner.slowdown_now(),
                answer=answer,
            )
        )
        if _is_surprising(planned, record):
            self._planner.reconsider()
        response = answer.response(request.id)
        if request.outputs:
            response.outputs = as_asked(response.outputs, request.outputs, model.manifest.labels)
        return response

    def _begins(self, record: CallRecord) -> None:
        """Count a call. Two calls that overlap are both marked as not alone."""
        record.alone = not self._records
        for other in self._records:
            other.alone = False
        self._records.append(record)
        self._counters.began()

    def _ends(self, record: CallRecord, failed: BaseException | None) -> None:
        self._records.remove(record)
        self._counters.ended(failed)


def _check_feasible(planned: CallPlan, options: CallOptions) -> None:
    """Raises `BudgetInfeasible` if no plan keeps the budget and the caller asked to be told so."""
    if not planned.unmet or options.on_infeasible != OnInfeasible.FAIL:
        return
    figures = {key: value for key, value in asdict(planned.predicted).items() if value is not None}
    raise BudgetInfeasible(
        f"no plan keeps the budget {str(options.budget) or '(default fidelity)'}: the nearest plan, cut {planned.cut} "
        f"with codec {planned.job.codec}, misses {', '.join(planned.unmet)} (predicted: {figures['latency_ms']:.1f} "
        f"ms, {figures['energy_mj']:.0f} mJ, cost {figures['cost']:g})",
        {"cut": planned.cut, "codec": planned.job.codec, "unmet": ",".join(planned.unmet), **figures},
    )


def _is_surprising(planned: CallPlan, record: CallRecord) -> bool:
    """Whether the call shows something new, so that its plan is not simply taken for the next call as well."""
    if record.why or planned.reason is Reason.EXPLORED:
        return True
    return planned.expected_s is not None and abs(record.latency_s - planned.expected_s) > planned.usual_error_s
