"""A transport that answers in place of a daemon, for the tests of applications.

>>> from collab_sdk import Client, MockTransport
>>> from collab_sdk.mock import mock_result
>>> transport = MockTransport.answering(mock_result({"cat": 0.9, "dog": 0.1}))
>>> Client(transport=transport).infer(b"a JPEG", "80ms").label
'cat'
>>> (call,) = transport.calls
>>> call.image, str(call.budget)
(b'a JPEG', '80ms')
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from collab_sdk import wire
from collab_sdk.answers import Answer, Classification, Detections, RawOutputs, Segmentation
from collab_sdk.budget import Budget
from collab_sdk.channels import Channels
from collab_sdk.errors import CollabError
from collab_sdk.result import Plan, Predicted, Result, Timings, encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest, Transport
from collab_sdk.vocabulary import EnergySource, Reason, TaskKind

__all__ = ["InferCall", "MockTransport", "mock_detections", "mock_mask", "mock_outputs", "mock_result"]

_MODELS = "/v2/models/"
_INFER = "/infer"


@dataclass(frozen=True, kw_only=True)
class InferCall:
    """What an application asked for with one `infer`, or with one image of a `stream`.

    ``image``: a file's bytes as they were given or read, or a uint8 array of the shape that ``channels`` needs; a
    Pillow image is an RGB array [height, width, 3]; None: the call had tensors. ``tensors``: the arrays by name, of a
    call that had no image. ``model``: None if the call named none. ``options``: the options that the call stated, out
    of cut, placement, codec, precision, pin_first, pin_last, fallback, on_infeasible, raw and stream.
    """

    image: bytes | NDArray[np.uint8] | None
    tensors: Mapping[str, NDArray[Any]]
    channels: Channels
    model: str | None
    budget: Budget
    options: Mapping[str, str | int]

    @classmethod
    def of(cls, request: DaemonRequest) -> Self:
        """The call in a client's request to ``/v2/models/MODEL/infer``."""
        message = request.message
        asked = wire.decode_request(message.body(), wire.header_length(message.headers))
        first = asked.inputs[0]
        is_image = len(asked.inputs) == 1 and (first.name, first.datatype) in {("image", "BYTES"), ("image", "UINT8")}
        options = dict(asked.parameters)
        options.pop("binary_data_output", None)
        model = unquote(_model_of(request))
        return cls(
            image=_image(first) if is_image else None,
            tensors={} if is_image else {tensor.name: tensor.to_array() for tensor in asked.inputs},
            channels=Channels(first.parameters.get("channels", Channels.RGB)),
            model=None if model == "_default" else model,
            budget=Budget.parse(options.pop("budget", None)),
            options=options,
        )


Handler: TypeAlias = Callable[[DaemonRequest], DaemonReply]
ReceivedAnswer: TypeAlias = Result | CollabError | Callable[[InferCall], Result]


class MockTransport(Transport):
    """Answers the requests of a `Client`, `AsyncClient` or `ControlClient` within the test's own process.

    ``handler`` makes the `DaemonReply` to each `DaemonRequest`. If the handler raises an error such as
    `DaemonUnavailable`, the client raises it too, or sends the request again as it would to a daemon. The handler runs
    in the thread that uses the client. For `infer` alone, `answering` is simpler.

    ``requests`` holds the received requests in order, with copies of their bodies.
    """

    def __init__(self, handler: Handler) -> None:
        self.requests: list[DaemonRequest] = []
        self._handler = handler

    @classmethod
    def answering(cls, *answers: ReceivedAnswer) -> Self:
        """A transport that gives one answer to each `infer`, in order, and then repeats the last answer.

        An answer is a `Result` (`mock_result`, `mock_detections`, `mock_mask` and `mock_outputs` make one), a
        `CollabError` to be raised (`DaemonUnavailable`, `BudgetInfeasible`, ...), or a function that makes the result
        of the `InferCall`. The transport also answers `ready`; any other call raises a LookupError.
        """
        return cls(_Answers(answers))

    @property
    def calls(self) -> list[InferCall]:
        """The received calls of `infer`, in order; a call that the client sent again counts again."""
        return [InferCall.of(request) for request in list(self.requests) if request.url.endswith(_INFER)]

    def send(self, request: DaemonRequest, *, timeout_s: float) -> DaemonReply:  # noqa: ARG002  nothing is waited for
        """See `Transport.send`."""
        # The body may be the application's own array, which the application may overwrite later.
        copied = wire.Message([request.message.body()], request.message.headers)
        self.requests.append(kept := replace(request, message=copied))
        return self._handler(kept)

    def close(self) -> None:
        """Do nothing: no connection is open."""


class _Answers:
    """Answers `infer`, requests for a model's metadata, and `ready`."""

    def __init__(self, answers: tuple[ReceivedAnswer, ...]) -> None:
        if not answers:
            raise ValueError("give at least one answer")
        self._answers = deque(answers)
        self._given: dict[str, Result] = {}
        self._lock = threading.Lock()

    def __call__(self, request: DaemonRequest) -> DaemonReply:
        if request.url.endswith(_INFER):
            return self._infer(InferCall.of(request))
        if request.url == "/v2/health/ready":
            return DaemonReply(200, b"{}")
        if request.url.startswith(_MODELS) and (given := self._given.get(_model_of(request))):
            parameters = {"digest": given.digest} | _named(given.answer)
            return DaemonReply(200, json.dumps({"name": given.model, "parameters": parameters}).encode())
        raise LookupError(f"MockTransport.answering has no answer to {request.method} {request.url}: give a handler")

    def _infer(self, call: InferCall) -> DaemonReply:
        with self._lock:
            answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, CollabError):
            raise type(answer)(str(answer), answer.details)
        result = answer if isinstance(answer, Result) else answer(call)
        self._given[result.model] = result
        message = wire.encode_response(encode_result(result), binary=True)
        return DaemonReply(200, message.body(), message.headers)


def _model_of(request: DaemonRequest) -> str:
    return request.url.removeprefix(_MODELS).removesuffix(_INFER)


def _image(tensor: wire.Tensor) -> bytes | NDArray[np.uint8]:
    return tensor.to_bytes_list()[0] if tensor.datatype == "BYTES" else tensor.to_array()


def _named(answer: Answer) -> dict[str, Any]:
    """What a model's metadata says of its classes."""
    if isinstance(answer, RawOutputs):
        return {"labels": []}
    palette = None if isinstance(answer, Classification) else answer.palette
    return {"labels": answer.labels} | ({} if palette is None else {"palette": palette})


def mock_result(probabilities: Mapping[str, float], **changes: Any) -> Result:
    """The result of a classifier with these probabilities by label; ``changes`` are other fields of `Result`.

    The other fields say that the device answered alone, in 10 ms and within the budget.
    """
    scores = np.array([*probabilities.values()], np.float32)
    return _mock(TaskKind.CLASSIFY, Classification(scores, tuple(probabilities)), changes)


def mock_detections(
    objects: Iterable[tuple[str, float, tuple[float, float, float, float]]],
    size: tuple[int, int] = (640, 480),
    *,
    labels: Iterable[str] = (),
    **changes: Any,
) -> Result:
    """The result of a detector with these objects: the name of each one's class, its confidence, its box.

    A box is x1, y1, x2, y2 in pixels of the picture, which has ``size``: width and height. ``labels``: the names of the
    classes, in the order of their numbers; names that are missing follow as they come. For ``changes`` see
    `mock_result`.
    """
    given = [*objects]
    names = tuple(dict.fromkeys([*labels, *(name for name, _, _ in given)]))
    found = Detections(
        xyxy=np.array([box for _, _, box in given], np.float32).reshape(-1, 4),
        confidence=np.array([confidence for _, confidence, _ in given], np.float32),
        class_id=np.array([names.index(name) for name, _, _ in given], np.int_),
        labels=names,
    )
    return _mock(TaskKind.DETECT, found, {"image_width": size[0], "image_height": size[1]} | changes)


def mock_mask(mask: NDArray[np.uint8] | NDArray[np.bool_], labels: Iterable[str], **changes: Any) -> Result:
    """The result of a segmenter with this mask [height, width], and the names of its classes.

    A mask of one class is bool. For ``changes`` see `mock_result`.
    """
    height, width = mask.shape
    shown = Segmentation(mask, tuple(labels))
    return _mock(TaskKind.SEGMENT, shown, {"image_width": width, "image_height": height} | changes)


def mock_outputs(outputs: Mapping[str, NDArray[Any]], **changes: Any) -> Result:
    """The result of a network of the task "tensors", with these outputs by name. For ``changes`` see `mock_result`.

    With ``task="detect"`` and the like, it is that of a call with ``raw=True``.
    """
    return _mock(TaskKind.TENSORS, RawOutputs(outputs), changes)


def _mock(task: TaskKind, answer: Answer, changes: Mapping[str, Any]) -> Result:
    classes = [] if isinstance(answer, RawOutputs) else [task, *answer.labels]
    result = Result(
        model="mock",
        digest=f"sha256:{hashlib.sha256(json.dumps(classes).encode()).hexdigest()}",
        task=task,
        answer=answer,
        plan=Plan(cut="output", codec="none", placement="D", cloud=None, reason=Reason.CHOSEN),
        predicted=Predicted(latency_ms=10.0, head_ms=10.0, energy_mj=50.0, cost=0.0),
        measured=Timings(latency_ms=10.0, head_ms=10.0),
        energy_mj=50.0,
        energy_source=EnergySource.MODELLED,
        cost=0.0,
        fidelity=1.0,
        bytes_up=0,
        bytes_down=0,
        budget_met=True,
        unmet=(),
        degraded=False,
        why="",
        ran="D",
    )
    return replace(result, **changes)
