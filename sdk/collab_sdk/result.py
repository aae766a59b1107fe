"""The answer to a call with its provenance, and its one form on the wire, which daemon and client share."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from collab_sdk._message import member
from collab_sdk._reading import OF_CLASSES, answer_in, raw_outputs
from collab_sdk.answers import Answer, Classification, Detections, Legend, RawOutputs, Segmentation
from collab_sdk.budget import Budget
from collab_sdk.errors import InvalidImage, MissingDependency, ProtocolError, WrongTask
from collab_sdk.image import Image, Tensors
from collab_sdk.text import plain
from collab_sdk.vocabulary import Cap, Cascade, EnergySource, Precision, Reason, TaskKind, known_or_text
from collab_sdk.wire import InferResponse, Tensor, WireError, decode_json, decode_outputs

if TYPE_CHECKING:
    import PIL.Image

    from collab_sdk.channels import Channels

__all__ = ["Plan", "Predicted", "ReceivedAnswer", "Result", "Timings", "decode_result", "encode_result"]

# A package is told apart by its digest; the protocol wants a version besides.
MODEL_VERSION = "1"
# The output of a classifier, as collabd answers.
SCORES = "scores"
_FP32 = np.dtype("<f4")
_CLASSIFY = TaskKind.CLASSIFY.value
_LARGEST = sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the daemon chose before it ran anything.

    ``cut``: name of the cut. ``codec``: how the features travel. ``placement``: one letter a layer, D on the device and
    C on the cloud. ``cloud``: name of the companion, None if nothing leaves the device. ``reason``: why this plan; text
    where only a newer daemon knows the word. ``precision``: "fp32", "int8" or "bf16"; if the layers before the cut and
    those behind it compute in different ones, both: "int8/fp32". ``little``: the network that is asked as well, in
    ``little_precision``, and answers in the place of the other where its sureness is ``least_sureness`` or more;
    ``cascade``: when it is asked. None: there is none.

    If the answer is inherited from an earlier picture of the stream, the cut is "inherit", the placement is empty, and
    the codec says how little the pictures differ: "below2" is less than 2 of 255 levels.
    """

    cut: str
    codec: str
    placement: str
    cloud: str | None
    reason: Reason | str
    precision: str = Precision.FP32.value
    little: str | None = None
    little_precision: str | None = None
    cascade: Cascade | str | None = None
    least_sureness: float | None = None


PHASES = (
    "prep",
    "look",
    "little",
    "head",
    "encode",
    "upload",
    "queue",
    "decode",
    "tail",
    "local_tail",
    "answer",
    "client",
)


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Milliseconds of a call and its phases; None: not measured, or not part of the plan.

    ``prep``: image to input tensor. ``look``: comparing it with the stream's last picture. ``little``: a little network
    that was asked, if the call waited for it. ``head``, ``encode``: on the device. ``upload``: the link, both ways,
    without the companion's own time. ``queue``, ``decode``, ``tail``: on the companion. ``local_tail``: what the device
    ran of the layers behind the cut. ``answer``: making the caller's answer of the network's outputs, on the device: a
    mask of the picture's size, or the boxes that suppression leaves. ``client``: the time outside the daemon, for
    reading the image, sending it, and waiting for a daemon that was away or busy. With `other_ms` they add up to
    ``latency``, all the time that the caller waited.
    """

    latency_ms: float | None = None
    prep_ms: float | None = None
    look_ms: float | None = None
    little_ms: float | None = None
    head_ms: float | None = None
    encode_ms: float | None = None
    upload_ms: float | None = None
    queue_ms: float | None = None
    decode_ms: float | None = None
    tail_ms: float | None = None
    local_tail_ms: float | None = None
    answer_ms: float | None = None
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


_Part = TypeVar("_Part", Classification, Detections, Segmentation, RawOutputs)
# What each kind of answer is called, and where it is read.
_READ_AT: dict[type, tuple[str, str]] = {
    Classification: ("a classifier's answer", ".label, .score, .scores or .top()"),
    Detections: ("a detector's answer", ".detections"),
    Segmentation: ("a segmenter's answer", ".mask or .shares()"),
    RawOutputs: ("an answer of raw outputs", ".outputs"),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """The answer to one call.

    What it says depends on the ``task`` of the model; a program reads it by the name that fits:

    - classify: `label`, `score`, `scores`, `top`;
    - detect: `detections`;
    - segment: `mask`, `shares`;
    - tensors, and any task that was called with ``raw=True``: `outputs`.

    The others raise `WrongTask`. ``answer`` is the same as one of four classes (`collab_sdk.answers`), for programs
    that serve several tasks. ``image_width``, ``image_height``: pixels of the caller's picture; None: there was none.

    ``energy_mj``: energy of the device, modelled or measured (``energy_source``). ``fidelity``: how often this plan's
    top-1 is expected to equal the unsplit network's, 0..1, for images of which that network is sure (1.0: lossless;
    None: never measured for this plan).
    ``bytes_up``, ``bytes_down``: HTTP bodies to the companion and from it. Bytes sent for an answer that came too late
    or never count too, also in ``cost`` and ``energy_mj``.

    ``budget_met``: whether the call kept the budget; ``unmet`` names the caps that it missed. ``degraded``: something
    failed, and the device or another companion made up for it. ``ran``: where each layer really ran, in letters like
    the placement. ``ran_on``: the companion that ran the layers C; "one+two" if each ran a part, None if none did. If
    either differs from the plan, ``why`` says so, even if the device only won the race with the companion.
    ``computed_in``: in which precision they really ran, in the words of ``plan.precision``. A tail that the device ran
    in place of a companion may have run in another one, if that is faithful enough for the budget; and "bf16" may have
    become "fp32". None: the daemon did not say. ``answered_by``: the little network that answered in the place of
    ``model``; ``why`` then says how sure it was, and ``ran`` is empty. None: ``model`` answered.
    ``inherited_age_s``: the answer is that of a call which arrived so many seconds earlier,
    since the stream shows the same; None: the network was run. ``budget``: what the call was allowed. ``dropped``: how
    many images a stream of the latest ones (`Client.stream`) dropped before this one. ``image``: what a stream asked
    about, for as long as the result lives; None: it is the answer to an `infer`, whose caller has the image. The text
    form is one line that begins with the answer.
    """

    model: str
    digest: str
    task: TaskKind | str
    answer: Answer
    # A plain default would be an attribute of the class, and hide what came with an answer.
    image_width: int | None = field(default_factory=lambda: None)
    image_height: int | None = field(default_factory=lambda: None)
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
    ran_on: str | None = field(default_factory=lambda: None)
    computed_in: str | None = field(default_factory=lambda: None)
    answered_by: str | None = field(default_factory=lambda: None)
    inherited_age_s: float | None = field(default_factory=lambda: None)
    budget: Budget = field(default_factory=Budget)
    dropped: int = field(default_factory=lambda: 0)
    image: Image | Tensors | None = field(default_factory=lambda: None)

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
        return " · ".join(filter(None, (str(self.answer), self._took(), self._verdict(), self._why())))

    @property
    def failed_over(self) -> bool:
        """Whether another companion finished the call than the planned one, which failed."""
        return self.ran_on not in {None, self.plan.cloud}

    @property
    def label(self) -> str:
        """The most probable label of a classifier. `WrongTask`."""
        return self._read(Classification, "label").label

    @property
    def score(self) -> float:
        """The probability of `label`, 0..1: among all labels, or by itself where they are independent. `WrongTask`."""
        return self._read(Classification, "score").score

    @property
    def scores(self) -> NDArray[np.float32]:
        """The probabilities of a classifier, float32 [labels]. `WrongTask`.

        If exactly one of the labels is right, the scores sum to 1. In a network with independent scores (sigmoids),
        each label has its own probability, as the network gives it. In a network with a single label, the score is the
        probability that this label applies.
        """
        return self._read(Classification, "scores").scores

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` most probable labels with their probabilities, best first; all if there are fewer. `WrongTask`."""
        return self._read(Classification, "top()").top(k)

    @property
    def detections(self) -> Detections:
        """The objects that a detector found, in pixels of the caller's picture, the surest first. `WrongTask`."""
        return self._read(Detections, "detections")

    @property
    def mask(self) -> NDArray[np.uint8] | NDArray[np.bool_]:
        """The class of each pixel of the caller's picture, uint8 [height, width]. `WrongTask`.

        It is bool where the network knows one class alone. The numbers count `labels`.
        """
        return self._read(Segmentation, "mask").mask

    def shares(self) -> list[tuple[str, float]]:
        """The classes in a segmenter's mask with their shares of the picture, 0..1, the largest first. `WrongTask`."""
        return self._read(Segmentation, "shares()").shares()

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]:
        """The network's outputs by name, of the task "tensors" or of a call with ``raw=True``. `WrongTask`."""
        return self._read(RawOutputs, "outputs")

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all classes that the network knows. `WrongTask`: the outputs are raw."""
        answer = self.answer
        return self._read(Classification, "labels").labels if isinstance(answer, RawOutputs) else answer.labels

    def draw(self, image: Image | None = None, channels: Channels | str = "rgb") -> PIL.Image.Image:
        """A picture of the answer: the image with boxes and names, with the classes in colour, or with the label.

        ``image``: that of the call, in any form that `Client.infer` takes; None: that of the stream (`Result.image`).
        ``channels``: what an array holds. The image is not changed. The new picture is RGB and upright; one of less
        than 240 pixels is drawn larger, up to 4,096 pixels, so that its text can be read. A class has the same colour
        in all pictures.

        `MissingDependency`: Pillow is not installed. `InvalidImage`: there is no image, it has another size than that
        of the call, or it cannot be read. `InvalidTensor`: an array that does not fit its channels. `WrongTask`: the
        outputs are raw.
        """
        answer = self.answer
        if isinstance(answer, RawOutputs):
            raise self._wrong_task("draw()")
        try:
            from collab_sdk import drawing  # noqa: PLC0415  Pillow is optional
        except ImportError as error:
            raise MissingDependency(
                "drawing needs Pillow: pip install Pillow (on Debian: sudo apt install python3-pil)"
            ) from error
        shown = self.image if image is None else image
        if shown is None or isinstance(shown, Mapping):
            raise InvalidImage("only a result of a stream has its image: give draw() the image of the call")
        size = (self.image_width, self.image_height) if self.image_width and self.image_height else None
        return drawing.draw(answer, shown, channels, size=size)

    def dict(self, **_: object) -> Mapping[str, Any]:
        """The objects of a detector in the form of Roboflow's inference servers. `WrongTask`.

        So ``supervision.Detections.from_inference(result)`` works. ``image`` has ``width`` and ``height``, and each of
        the ``predictions`` ``x`` and ``y`` of the box's centre, ``width``, ``height``, ``confidence``, ``class`` and
        ``class_id``. The arguments are those that such libraries pass, and change nothing.
        """
        predictions = [
            {
                "x": (x1 + x2) / 2,
                "y": (y1 + y2) / 2,
                "width": x2 - x1,
                "height": y2 - y1,
                "confidence": confidence,
                "class": class_name,
                "class_id": class_id,
            }
            for class_name, class_id, confidence, (x1, y1, x2, y2) in self._read(Detections, "dict()")
        ]
        return {"image": {"width": self.image_width, "height": self.image_height}, "predictions": predictions}

    def _read(self, kind: type[_Part], asked: str) -> _Part:
        answer = self.answer
        if isinstance(answer, kind):
            return answer
        raise self._wrong_task(asked)

    def _wrong_task(self, asked: str) -> WrongTask:
        what, where = _READ_AT[type(self.answer)]
        said = f"this is {what} ({self.model}, task {self.task}): read {where}, not .{asked}"
        if isinstance(self.answer, RawOutputs) and self.task in OF_CLASSES:
            said += "; without raw=True the call is answered as the task says"
        elif asked == "outputs":
            said += "; a call with raw=True gets the network's outputs"
        return WrongTask(said, {"task": str(self.task)})

    def _took(self) -> str:
        latency_ms, plan = self.measured.latency_ms or 0.0, self.plan
        took = f"{latency_ms:.{1 if latency_ms < 10 else 0}f} ms"
        if self.inherited_age_s is not None:
            return f"{took}, inherited from {self.inherited_age_s:.1f} s before"
        if self.answered_by is not None:
            beside = f" before {plan.cloud}" * (plan.cascade == Cascade.RACED)
            computed = f" in {plan.little_precision}" * (plan.little_precision not in {None, Precision.FP32})
            return f"{took}, {self.answered_by}{computed}{beside}"
        computed = self.computed_in or plan.precision
        took += f", {computed}" * (computed != Precision.FP32)
        if "C" not in plan.placement:
            return f"{took}, all on the device"
        cut = "several cuts" if plan.cut == plan.placement else f"cut {plan.cut}"
        ended = "" if self.ran == plan.placement else ", finished on the device"
        if not ended and self.failed_over:
            ended = f", finished by {self.ran_on}"
        return f"{took}, {cut} {plan.codec}, {plan.cloud or 'no companion'}{ended}"

    def _verdict(self) -> str:
        caps = str(replace(self.budget, objective=None)).replace(",", ", ")
        if self.unmet:
            return f"missed {', '.join(self.unmet)}{f' of {caps}' if caps else ''}"
        return f"within {caps}" if caps else ""

    def _why(self) -> str:
        return f"degraded: {self.why}" if self.degraded else self.why


def encode_result(result: Result, request_id: str = "") -> InferResponse:
    """The result as an OIP response: the arrays of the answer, the rest in parameters (labels stay home).

    What was not measured is left out, and so is what is not finite (a prediction over a dead link, for example).
    """
    said = stated({name: getattr(result, name) for name in _SCALAR_FIELDS[Result]})
    said["unmet"] = ",".join(result.unmet)
    for group in _GROUPS:
        said |= stated(vars(getattr(result, group)), f"{group}.")
    return response_of(result.model, result.answer, said, request_id=request_id)


def response_of(model: str, answer: Answer, parameters: Mapping[str, Any], *, request_id: str) -> InferResponse:
    """The response with the arrays of this answer, and these parameters."""
    outputs = [Tensor.from_array(name, array) for name, array in answer.on_wire().items()]
    return InferResponse(model, MODEL_VERSION, outputs, id=request_id, parameters=dict(parameters))


def stated(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values as parameters of a response, without those that are None or not finite."""
    return {
        prefix + name: value
        for name, value in values.items()
        if value is not None and (type(value) is not float or math.isfinite(value))
    }


class ReceivedAnswer:
    """An answer as it came. Its parts are checked, and made when somebody reads them.

    ``model``: the name of the model. ``said``: its parameters. ``digest``: that of the model package, whose legend the
    answer has. ``task``: that of the model.
    """

    def __init__(self, body: bytes, json_length: int | None) -> None:
        """Read the body of a reply. `ProtocolError`: a part is missing or of another type."""
        length = len(body) if json_length is None else json_length
        self._data = memoryview(body)[length:]
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
        self.digest: str = self.said["digest"]
        self.task: str = self.said["task"]

    def read(self, legend: Legend | None) -> Answer:
        """The answer; None: it is read as the network's own outputs. `ProtocolError`: it does not fit the legend."""
        if legend is not None and self.task == _CLASSIFY and self._is_as_usual(len(legend.labels)):
            # A copy, so that the caller may write to it.
            return Classification(np.frombuffer(bytearray(self._data), _FP32), legend.labels)
        try:
            outputs = decode_outputs(self._head, self._data)
            return raw_outputs(outputs) if legend is None else answer_in(outputs, self.task, legend)
        except WireError as error:
            raise _unreadable(error) from error

    def _is_as_usual(self, classes: int) -> bool:
        """Whether it describes so many scores as a daemon does as a rule, so that nothing else need be checked."""
        return classes > 0 and self._head.get("outputs") == _scores(classes) and len(self._data) == 4 * classes


def decode_result(answer: ReceivedAnswer, legend: Legend | None, budget: Budget | None = None) -> Result:
    """The result in an answer, with the legend of the model package of its digest, and what the call was allowed.

    Its parts are made when they are first read; parts that a newer daemon added are ignored. ``legend``: None: the
    outputs are raw. `ProtocolError`: the outputs do not fit the task and the legend.
    """
    said = answer.said
    said["model"] = answer.model
    result = object.__new__(Result)
    vars(result).update(_said=said, answer=answer.read(legend), budget=budget or Budget(), dropped=0, image=None)
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
    int | None: (int, NoneType),
    bool: (bool,),
    Reason | str: (str,),
    Cascade | str | None: (str, NoneType),
    EnergySource | str: (str,),
    TaskKind | str: (str,),
}
_WORDS = {
    Reason | str: Reason,
    Cascade | str | None: Cascade,
    EnergySource | str: EnergySource,
    TaskKind | str: TaskKind,
}
# The model's name travels elsewhere, and of dropped images only the client knows.
_NO_PARAMETERS = {"model", "dropped"}
# Each field that travels as a parameter of its own, with its type.
_SCALAR_FIELDS = {
    kind: {
        name: hint for name, hint in get_type_hints(kind).items() if hint in _JSON_TYPES and name not in _NO_PARAMETERS
    }
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
def _scores(classes: int) -> list[dict[str, Any]]:
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
