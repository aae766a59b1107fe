"""The answer to a call with its provenance, and its one form on the wire, which daemon and client share."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from collab_sdk._message import member
from collab_sdk.budget import Budget
from collab_sdk.errors import ProtocolError
from collab_sdk.text import plain
from collab_sdk.vocabulary import Cap, EnergySource, Reason, known_or_text
from collab_sdk.wire import InferResponse, Tensor, WireError, decode_json, decode_outputs

__all__ = ["Plan", "Predicted", "ReceivedAnswer", "Result", "Timings", "decode_result", "encode_result"]

# A package is told apart by its digest; the protocol wants a version besides.
MODEL_VERSION = "1"
# The one output of a model, as collabd answers.
SCORES = "scores"
_FP32 = np.dtype("<f4")
_LARGEST = sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the daemon chose before it ran anything.

    ``cut``: name of the cut. ``codec``: how the features travel. ``placement``: one letter a layer, D on the device and
    C on the cloud. ``cloud``: name of the companion, None if nothing leaves the device. ``reason``: why this plan; text
    where only a newer daemon knows the word.
    """

    cut: str
    codec: str
    placement: str
    cloud: str | None
    reason: Reason | str


PHASES = ("prep", "head", "encode", "upload", "queue", "decode", "tail", "local_tail", "client")


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Milliseconds of a call and its phases; None: not measured, or not part of the plan.

    ``prep``: image to input tensor. ``head``, ``encode``: on the device. ``upload``: the link, both ways, without the
    companion's own time. ``queue``, ``decode``, ``tail``: on the companion. ``local_tail``: what the device ran of the
    layers behind the cut. ``client``: the time outside the daemon, for reading the image, sending it, and waiting for a
    daemon that was away or busy. With `other_ms` they add up to ``latency``, all the time that the caller waited.
    """

    latency_ms: float | None = None
    prep_ms: float | None = None
    head_ms: float | None = None
    encode_ms: float | None = None
    upload_ms: float | None = None
    queue_ms: float | None = None
    decode_ms: float | None = None
    tail_ms: float | None = None
    local_tail_ms: float | None = None
    client_ms: float | None = None

    @property
    def other_ms(self) -> float | None:
        """Milliseconds that belong to no phase: waits for a place, for the processor, or for an answer that was late.

        The value is below 0 in a prediction in which device and companion race.
        """
        if self.latency_ms is None:
            return None
        return self.latency_ms - sum(getattr(self, f"{phase}_ms") or 0.0 for phase in PHASES)


@dataclass(frozen=True, kw_only=True)
class Predicted(Timings):
    """What the plan was expected to take: times, ``energy_mj`` millijoules of the device, ``cost``."""

    energy_mj: float | None = None
    cost: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """The answer to one call.

    ``scores``: probabilities, float32 [labels]; ``labels``: their names. If exactly one of the labels is right, the
    scores sum to 1. In a network with independent scores (sigmoids), each label has its own probability, as the network
    gives it. In a network with a single label, the score is the probability that this label applies.

    ``energy_mj``: energy of the device, modelled or measured (``energy_source``). ``fidelity``: how often this plan's
    top-1 is expected to equal the unsplit network's, 0..1, for images of which that network is sure (1.0: lossless;
    None: never measured for this plan).
    ``bytes_up``, ``bytes_down``: HTTP bodies to the companion and from it. Bytes sent for an answer that came too late
    count too, also in ``cost`` and ``energy_mj``.

    ``budget_met``: whether the call kept the budget; ``unmet`` names the caps that it missed. ``degraded``: something
    failed, and the device made up for it. ``ran``: where each layer really ran, in letters like the placement. If that
    differs from the plan, ``why`` says so, even if the device only won the race with the companion. ``budget``: what
    the call was allowed. The text form is one line that begins with the answer.
    """

    model: str
    digest: str
    scores: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    plan: Plan
    predicted: Predicted
    measured: Timings
    energy_mj: float
    energy_source: EnergySource | str
    cost: float
    fidelity: float | None
    bytes_up: int
    bytes_down: int
    budget_met: bool
    unmet: tuple[Cap | str, ...]
    degraded: bool
    why: str
    ran: str
    budget: Budget = field(default_factory=Budget)

    # A type checker that sees `__getattr__` believes that the class has every name.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Make a field of an answer that arrived (`decode_result`) when it is first read."""
            own = vars(self)
            if "_said" not in own or name not in _MAKERS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = own[name] = _MAKERS[name](own["_said"], name)
            return value

    def __str__(self) -> str:
        parts = (f"{self.label} {self.score:.2f}", self._took(), self._verdict(), self._why())
        return " · ".join(filter(None, parts))

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The probability of `label`, 0..1: among all labels, or by itself where they are independent."""
        return float(self.scores.max())

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` most probable labels with their probabilities, best first; all of them if there are fewer."""
        best = np.argsort(-self.scores, kind="stable")[: max(k, 0)]
        return [(self.labels[i], float(self.scores[i])) for i in best]

    def _took(self) -> str:
        latency_ms, plan = self.measured.latency_ms or 0.0, self.plan
        took = f"{latency_ms:.{1 if latency_ms < 10 else 0}f} ms"
        if "C" not in plan.placement:
            return f"{took}, all on the device"
        cut = "several cuts" if plan.cut == plan.placement else f"cut {plan.cut}"
        ended = "" if self.ran == plan.placement else ", finished on the device"
        return f"{took}, {cut} {plan.codec}, {plan.cloud or 'no companion'}{ended}"

    def _verdict(self) -> str:
        caps = str(replace(self.budget, objective=None)).replace(",", ", ")
        if self.unmet:
            return f"missed {', '.join(self.unmet)}{f' of {caps}' if caps else ''}"
        return f"within {caps}" if caps else ""

    def _why(self) -> str:
        return f"degraded: {self.why}" if self.degraded else self.why


def encode_result(result: Result, request_id: str = "") -> InferResponse:
    """The result as an OIP response: output ``scores`` FP32 [1, classes], the rest in parameters (labels stay home).

    What was not measured is left out, and so is what is not finite (a prediction over a dead link, for example).
    """
    said = stated({name: getattr(result, name) for name in _SCALAR_FIELDS[Result]})
    said["unmet"] = ",".join(result.unmet)
    for group in _GROUPS:
        said |= stated(vars(getattr(result, group)), f"{group}.")
    return response_of(result.model, result.scores, said, request_id=request_id)


def response_of(
    model: str, scores: NDArray[np.float32], parameters: dict[str, Any], *, request_id: str
) -> InferResponse:
    """The response with these scores, [classes], and parameters."""
    output = Tensor.from_array(SCORES, scores.reshape(1, -1))
    return InferResponse(model, MODEL_VERSION, [output], id=request_id, parameters=parameters)


def stated(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values as parameters of a response, without those that are None or not finite."""
    return {
        prefix + name: value
        for name, value in values.items()
        if value is not None and (type(value) is not float or math.isfinite(value))
    }


class ReceivedAnswer:
    """An answer as it came. Its parts are checked, and made when somebody reads them.

    ``model``: the name of the model. ``said``: its parameters. ``digest``: that of the model package, whose labels the
    scores have.
    """

    def __init__(self, body: bytes, json_length: int | None) -> None:
        """Read the body of a reply. `ProtocolError`: a part is missing or of another type."""
        length = len(body) if json_length is None else json_length
        try:
            self._head = decode_json(memoryview(body)[:length])
            self.said: dict[str, Any] = member(self._head, "parameters", {})
            self.model: str = member(self._head, "model_name", "")
            numbers = _numbers("\0".join(self.said), tuple(map(type, self.said.values())))
        except WireError as error:
            raise _unreadable(error) from error
        for key in numbers:
            if not -_LARGEST <= self.said[key] <= _LARGEST:
                raise _unreadable(f"parameter {key!r} is not finite")
        self._data = body[length:]
        self.digest: str = self.said["digest"]

    def scores(self, classes: int) -> NDArray[np.float32]:
        """The scores of so many labels. `ProtocolError`: there are not as many."""
        if classes and self._head.get("outputs") == _outputs(classes) and len(self._data) == 4 * classes:
            # A copy, so that the caller may write to it.
            return np.frombuffer(bytearray(self._data), _FP32)
        try:
            for tensor in decode_outputs(self._head, memoryview(self._data)) if classes else []:
                if (tensor.name, tensor.datatype, tensor.shape) == (SCORES, "FP32", (1, classes)):
                    return np.array(tensor.to_array()[0], np.float32)
        except WireError as error:
            raise _unreadable(error) from error
        raise _unreadable(f"it has no output {SCORES!r} of FP32 [1, {classes}]")


def decode_result(answer: ReceivedAnswer, labels: tuple[str, ...], budget: Budget | None = None) -> Result:
    """The result in an answer, with the labels of the model package of its digest, and what the call was allowed.

    Its parts are made when they are first read; parts that a newer daemon added are ignored. `ProtocolError`: there are
    not as many scores as labels.
    """
    said = answer.said
    said["model"] = answer.model
    result = object.__new__(Result)
    vars(result).update(_said=said, scores=answer.scores(len(labels)), labels=labels, budget=budget or Budget())
    return result


def said_in(result: Result) -> dict[str, Any]:
    """The parameters of the answer that a result is made from. What is changed here before it is read, is changed."""
    said: dict[str, Any] = vars(result)["_said"]
    return said


_GROUPS: dict[str, type[Any]] = {"plan": Plan, "predicted": Predicted, "measured": Timings}
# The Python types that JSON may give for a field's type. A whole float may come as an int.
_JSON_TYPES: dict[Any, tuple[type, ...]] = {
    str: (str,),
    str | None: (str, NoneType),
    float: (float, int),
    float | None: (float, int, NoneType),
    int: (int,),
    bool: (bool,),
    Reason | str: (str,),
    EnergySource | str: (str,),
}
_WORDS = {Reason | str: Reason, EnergySource | str: EnergySource}
# Each field that travels as a parameter of its own, with its type; `model` travels elsewhere.
_SCALAR_FIELDS = {
    kind: {name: hint for name, hint in get_type_hints(kind).items() if hint in _JSON_TYPES and name != "model"}
    for kind in (Result, *_GROUPS.values())
}
_FIELDS = {
    **_SCALAR_FIELDS[Result],
    **{f"{group}.{name}": hint for group, kind in _GROUPS.items() for name, hint in _SCALAR_FIELDS[kind].items()},
}
_KEYS = {name: [(each, f"{name}.{each}") for each in _SCALAR_FIELDS[kind]] for name, kind in _GROUPS.items()}
_TYPES = {key: _JSON_TYPES[hint] for key, hint in _FIELDS.items()} | {"unmet": (str, NoneType)}


# A model's answers are of a few forms.
@lru_cache(maxsize=16)
def _numbers(keys: str, kinds: tuple[type, ...]) -> tuple[str, ...]:
    """Which fields are numbers, in an answer with values of these types. WireError: one has a type that is not its.

    ``keys``: with a NUL between them, since one text is compared faster than many.
    """
    kind_of = dict(zip(keys.split("\0"), kinds, strict=False))
    if len(kind_of) != len(kinds):
        raise WireError("there is a NUL in the name of a parameter")
    for key, types in _TYPES.items():
        # The exact type: a bool must not pass for the int that it also is.
        if (kind := kind_of.get(key, NoneType)) not in types:
            raise WireError(f"parameter {key!r} is {'missing' if kind is NoneType else f'of type {kind.__name__}'}")
    return tuple(key for key in _TYPES if kind_of.get(key) in (float, int))


@lru_cache(maxsize=16)
def _outputs(classes: int) -> list[dict[str, Any]]:
    """How an answer describes so many scores, as a rule."""
    parameters = {"binary_data_size": 4 * classes}
    return [{"name": SCORES, "datatype": "FP32", "shape": [1, classes], "parameters": parameters}]


def _unreadable(reason: WireError | str) -> ProtocolError:
    return ProtocolError(f"cannot read the daemon's answer: {reason}")


def _scalar(said: Mapping[str, Any], key: str) -> Any:
    """The value of the field with this key, whose type was checked."""
    value, hint = said.get(key), _FIELDS[key]
    if isinstance(value, str):
        return known_or_text(_WORDS[hint], plain(value)) if hint in _WORDS else plain(value)
    return float(value) if type(value) is int and float in _JSON_TYPES[hint] else value


def _text(said: Mapping[str, Any], name: str) -> str:
    return plain(said[name])


def _group(said: Mapping[str, Any], name: str) -> Any:
    group = object.__new__(_GROUPS[name])
    vars(group).update((each, _scalar(said, key)) for each, key in _KEYS[name])
    return group


def _times(said: Mapping[str, Any], name: str) -> Any:
    """A group whose fields are all numbers."""
    times = object.__new__(_GROUPS[name])
    own = vars(times)
    for each, key in _KEYS[name]:
        value = said.get(key)
        own[each] = value if value is None else float(value)
    return times


def _unmet(said: Mapping[str, Any], name: str) -> tuple[Cap | str, ...]:
    return tuple(known_or_text(Cap, cap) for cap in plain(said.get(name) or "").split(",") if cap)


# What makes each field of a result from its checked parameters.
_MAKERS: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
    **dict.fromkeys(_SCALAR_FIELDS[Result], _scalar),
    "plan": _group,
    "model": _text,
    "unmet": _unmet,
    "predicted": _times,
    "measured": _times,
}
