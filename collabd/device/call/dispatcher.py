"""One call from request to response: read it, plan it, run it, learn from it. This module knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from collab_sdk import wire
from collab_sdk.errors import BudgetInfeasible, InvalidTensor
from collab_sdk.result import SCORES
from collab_sdk.vocabulary import OnInfeasible, Reason
from collabd.clock import Clock
from collabd.device.call.answer import CallAnswer
from collabd.device.call.batch import answer_batch
from collabd.device.call.dashboard_pictures import DashboardPictures
from collabd.device.call.outcomes import EndedCall, Outcomes
from collabd.device.call.recall import Recalls
from collabd.device.call.second_opinions import SecondOpinions
from collabd.device.counters import Counters
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.planner import Planner
from collabd.device.job.batch import items_of
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord
from collabd.device.job.options import CallOptions
from collabd.device.job.tensors import CallInput, CallTensors, listed
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.device.run.executor import Executor
from collabd.http.parameters import as_asked, check_outputs
from collabd.tasks.answering import TaskAnswers
from collabd.tasks.classify import ClassifyAnswers


class Dispatcher:
    """Answers calls according to one configuration."""

    def __init__(
        self,
        *,
        models: LoadedModels,
        planner: Planner,
        executor: Executor,
        recalls: Recalls,
        outcomes: Outcomes,
        counters: Counters,
        clock: Clock,
        second_opinions: SecondOpinions | None = None,
        shown: DashboardPictures | None = None,
    ) -> None:
        """`second_opinions` None: what little networks answer is compared with nothing. `shown`: gets the pictures."""
        self._models = models
        self._planner = planner
        self._executor = executor
        self._recalls = recalls
        self._outcomes = outcomes
        self._counters = counters
        self._clock = clock
        self._second_opinions = second_opinions
        self._shown = shown
        self._records: list[CallRecord] = []

    async def infer(
        self, name: str, request: wire.InferRequest, arrived: float | None = None, *, caller_s: float | None = None
    ) -> wire.InferResponse:
        """Answer one request. Its time counts from `arrived`, in seconds on the clock (None: from now).

        `caller_s`: what the caller's program took for the last call of this kind; None: it did not say.
        """
        if not is_plainly_one(request):
            manifest = self._models.package(name).manifest
            if items := items_of(request, manifest):
                came = self._clock() if arrived is None else arrived
                return await answer_batch(
                    self._infer, request, items, manifest=manifest, arrived=came, clock=self._clock
                )
        return await self._infer(name, request, arrived, caller_s=caller_s)

    async def _infer(
        self, name: str, request: wire.InferRequest, arrived: float | None = None, *, caller_s: float | None = None
    ) -> wire.InferResponse:
        """Answer a call about one item."""
        options = CallOptions.from_parameters(request.parameters)
        now = self._clock()
        arrived = now if arrived is None else arrived
        record = CallRecord(self._clock, arrived, waited_s=now - arrived, caller_s=caller_s)
        self._begins(record)
        known = ""
        try:
            model = self._models.at_hand(name) or await self._fetched(name)
            known = model.manifest.name
            with model.lent.in_use():
                answers, options = _form(request, model, options)
                given = _given(request, model)
                recall = None
                if options.stream is not None:
                    least = self._planner.least_fidelity(model, options)
                    recall = await self._recalls.look(model, given, options, record=record, least=least)
                planned = await self._planner.plan(
                    model,
                    given,
                    options,
                    waited_s=record.waited_s if recall is None else self._clock() - arrived,
                    seen=None if recall is None else recall.seen,
                )
                _check_feasible(planned, options)
                there = None if recall is None else recall.known(planned.job, record)
                found = await self._executor.run(planned.job, given, record, known=there)
                size, sent = given.upright_size, given.size
                if record.little_answered and planned.job.little is not None:
                    answers = planned.job.little.model.forms.usual
                began = self._clock()
                answered = await asyncio.to_thread(answers, found, size) if answers.takes_long else answers(found, size)
                if not options.raw:
                    record.answered_since(began)
                answer = CallAnswer(
                    planned,
                    record,
                    answers.line(answered),
                    size=size,
                    budget=options.budget,
                    energy_j=record.energy_j(planned.evaluation.device, record.latency_s),
                )
        except BaseException as error:
            self._ends(record, error, known)
            if known and isinstance(error, Exception):
                self._outcomes.failed(known, options.stream or "", at=self._clock())
            raise
        self._ends(record, None, known)
        self._outcomes.add(
            EndedCall(
                stream=options.stream or "",
                at=record.clock(),
                plan=planned,
                image=sent,
                record=record,
                served_s=record.served_s(),
                slowdown=self._planner.slowdown_now(),
                answer=answer,
                check=None
                if recall is None
                else recall.remember(planned.job, found, answer.fidelity, little_answered=record.little_answered),
            )
        )
        if self._shown is not None:
            self._shown.saw(model, given, answered, size=size, stream=options.stream, said=answer.said)
        if self._second_opinions is not None and planned.job.little is not None:
            self._second_opinions.consider(planned.job, given, record, found=found)
        if _is_surprising(planned, record):
            self._planner.reconsider()
        response = answer.response(answered, request.id)
        if request.outputs:
            response.outputs = as_asked(response.outputs, request.outputs, model.manifest.labels)
        return response

    async def _fetched(self, name: str) -> DeviceModel:
        """A model that was put away, loaded again. Raises `InvalidPackage`, `UnknownModel`."""
        model = await self._models.fetch(name)
        # Others may have made room for it. The choices for their calls would keep their weights.
        self._planner.reconsider()
        return model

    def _begins(self, record: CallRecord) -> None:
        """Count a call. Two calls that overlap are both marked as not alone."""
        record.alone = not self._records
        for other in self._records:
            other.alone = False
        self._records.append(record)
        self._counters.began()

    def _ends(self, record: CallRecord, failed: BaseException | None, model: str) -> None:
        self._records.remove(record)
        self._counters.ended(failed, model, self._clock() - record.started)


def is_plainly_one(request: wire.InferRequest) -> bool:
    """Whether the request is of the usual form, for one picture. False says nothing."""
    first = request.inputs[0]
    if first.datatype == "UINT8":
        has_colours = len(first.shape) == 3 and first.shape[2] == 3
        return has_colours and "channels" not in first.parameters and "channels" not in request.parameters
    return first.datatype == "BYTES" and first.shape == (1,)


def _form(request: wire.InferRequest, model: DeviceModel, options: CallOptions) -> tuple[TaskAnswers, CallOptions]:
    """The form of the answer that the call asks for, and its options with that. Raises `InvalidRequest`."""
    # As `CallImage.from_request` takes it.
    is_input = model.manifest.picture is not None and request.inputs[0].datatype == "FP32"
    forms = model.forms_of_input if is_input else model.forms
    if not request.outputs:
        return (forms.raw if options.raw else forms.usual), options
    form = forms.named({output.name for output in request.outputs}, raw=options.raw)
    classes = SCORES if isinstance(form, ClassifyAnswers) else None
    check_outputs(request.outputs, classes, there=[port.name for port in form.ports])
    is_raw = form is not forms.usual
    return form, options if options.raw == is_raw else replace(options, raw=is_raw)


def _given(request: wire.InferRequest, model: DeviceModel) -> CallInput:
    """What the call is about. Raises `InvalidImage`, `InvalidTensor`."""
    if model.manifest.picture is None:
        return CallTensors.from_request(request, model.manifest)
    try:
        return CallImage.from_request(request, model.manifest.picture)
    except InvalidTensor as error:
        raise InvalidTensor(
            f"{model.manifest.name} takes one picture (BYTES [1] of a file, UINT8 pixels, or the network's input as "
            f"FP32), and the request has {listed(request.inputs)}: {error}"
        ) from error


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
    usual = planned.usual_of_little if record.little_answered else planned.usual
    return usual is not None and abs(record.latency_s - usual.expected_s) > usual.error_s
