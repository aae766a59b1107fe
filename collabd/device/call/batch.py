"""Answers a request about several items: each is a call by itself, one after the other, and the answers are joined."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.budget import Budget
from collab_sdk.errors import CollabError, InvalidTensor, RequestTooLarge
from collab_sdk.result import MODEL_VERSION, SCORES
from collab_sdk.vocabulary import Cap
from collabd.catalog.package.manifest import Manifest
from collabd.clock import Clock
from collabd.device.job.batch import ITEMS
from collabd.device.job.options import CallOptions
from collabd.http.parameters import as_asked, check_outputs
from collabd.tasks.classify import ClassifyAnswers
from collabd.tasks.detect import DetectAnswers
from collabd.tasks.forms import AnswerForms
from collabd.tasks.segment import SegmentAnswers

# The outputs of all items together: masks of large pictures take 50 MB each.
_MOST_BYTES = 2**26
_LEAST_LEFT = 1e-3
# Of the items' figures these are added up, and these are the same for all items.
_SUMS = ("energy_mj", "cost", "bytes_up", "bytes_down")
_SHARED = ("digest", "task", "energy_source")


class Infer(Protocol):
    """Answers one item. Its time counts from now."""

    def __call__(self, name: str, request: wire.InferRequest, /) -> Awaitable[wire.InferResponse]: ...  # noqa: D102


async def answer_batch(
    infer: Infer,
    request: wire.InferRequest,
    items: Sequence[wire.InferRequest],
    *,
    manifest: Manifest,
    arrived: float,
    clock: Clock,
) -> wire.InferResponse:
    """The answers to all items of the request, in their order, as one. The request arrived at `arrived` on the clock.

    The caps of the budget are for all items together: each item may take an equal part of what is left. Raises
    `CollabError`, which says at which item; the items behind that are not run.
    """
    options = CallOptions.from_parameters(request.parameters)
    join = _Join(request, manifest, raw=options.raw)
    figures: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        share = _share(options.budget, figures, left=len(items) - index, passed_s=clock() - arrived)
        try:
            answer = await infer(manifest.name, _with_budget(item, share))
            join.add(answer.outputs)
        except CollabError as error:
            raise type(error)(f"item {index} of {len(items)}: {error}", error.details) from error
        figures.append(answer.parameters)
    outputs = as_asked(join.outputs(), request.outputs, manifest.labels)
    said = _together(figures, options.budget, clock() - arrived)
    return wire.InferResponse(manifest.name, MODEL_VERSION, outputs, id=request.id, parameters=said)


class _Join:
    """The outputs of the items, along their first axis."""

    def __init__(self, request: wire.InferRequest, manifest: Manifest, *, raw: bool) -> None:
        """Raises `InvalidRequest` for outputs that there will not be, before anything is run."""
        forms = AnswerForms(manifest, of_input=manifest.picture is not None and request.inputs[0].datatype == "FP32")
        form = forms.named({output.name for output in request.outputs} - {ITEMS}, raw=raw)
        # Masks have no axis of items, and boxes differ in number from item to item.
        self._stacks = isinstance(form, SegmentAnswers)
        self._tells_items = isinstance(form, DetectAnswers)
        there = [port.name for port in form.ports] + ([ITEMS] if self._tells_items else [])
        classes = SCORES if isinstance(form, ClassifyAnswers) else None
        check_outputs(request.outputs, classes, there=there if request.outputs else None)
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}
        self._rows: list[int] = []
        self._bytes = 0

    def add(self, outputs: Sequence[wire.Tensor]) -> None:
        """The next item's. Raises `InvalidTensor`, `RequestTooLarge`."""
        self._bytes += sum(len(tensor.data) for tensor in outputs)
        if self._bytes > _MOST_BYTES:
            raise RequestTooLarge(f"the answers to all items have more than {_MOST_BYTES} bytes: ask for fewer at once")
        for tensor in outputs:
            parts = self._parts.setdefault(tensor.name, [])
            parts.append(tensor.to_array()[np.newaxis] if self._stacks else tensor.to_array())
            if self._stacks and parts[0].shape != parts[-1].shape:
                raise InvalidTensor("its mask has another size than those before: send pictures of one size together")
        self._rows.append(outputs[0].shape[0])

    def outputs(self) -> list[wire.Tensor]:
        """All of them together."""
        joined = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        if self._tells_items:
            joined[ITEMS] = np.repeat(np.arange(len(self._rows), dtype=np.int32), self._rows)
        return [wire.Tensor.from_array(name, array) for name, array in joined.items()]


def _share(budget: Budget, before: Sequence[Mapping[str, Any]], *, left: int, passed_s: float) -> Budget:
    """What the next item may take, if `left` items are left and those `before` took what they say."""

    def part(cap: float | None, spent: float, least: float) -> float | None:
        return None if cap is None else max((cap - spent) / left, least)

    return replace(
        budget,
        latency_ms=part(budget.latency_ms, passed_s * 1e3, _LEAST_LEFT),
        energy_mj=part(budget.energy_mj, _sum(before, "energy_mj"), _LEAST_LEFT),
        cost=part(budget.cost, _sum(before, "cost"), 0.0),
    )


def _with_budget(item: wire.InferRequest, budget: Budget) -> wire.InferRequest:
    kept = {key: value for key, value in item.parameters.items() if key not in {"budget", "timeout"}}
    text = str(budget)
    return replace(item, parameters=kept | ({"budget": text} if text else {}))


def _together(figures: Sequence[Mapping[str, Any]], budget: Budget, latency_s: float) -> dict[str, Any]:
    """What the answer says of the items together; of where each ran `collabctl explain` tells."""
    said: dict[str, Any] = {key: figures[0][key] for key in _SHARED}
    said |= {key: _sum(figures, key) for key in _SUMS}
    if all("fidelity" in each for each in figures):
        said["fidelity"] = min(each["fidelity"] for each in figures)
    missed = {cap for each in figures for cap in each.get("unmet", "").split(",")} & {Cap.FIDELITY}
    of_all = (
        (Cap.LATENCY, budget.latency_ms, latency_s * 1e3),
        (Cap.ENERGY, budget.energy_mj, said["energy_mj"]),
        (Cap.COST, budget.cost, said["cost"]),
    )
    unmet = [cap for cap, most, taken in of_all if most is not None and taken > most] + sorted(missed)
    return said | {
        ITEMS: len(figures),
        "budget_met": not unmet,
        "unmet": ",".join(unmet),
        "degraded": any(each.get("degraded", False) for each in figures),
        "measured.latency_ms": latency_s * 1e3,
    }


def _sum(figures: Sequence[Mapping[str, Any]], key: str) -> Any:
    return sum(each.get(key, 0) for each in figures)
