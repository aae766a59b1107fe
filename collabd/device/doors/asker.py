"""Asks the daemon about what came through a door. It knows no protocol; the adapters beside it do."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from aiohttp import web

from collab_sdk import wire
from collab_sdk._reading import answer_in
from collab_sdk.answers import Answer, Detections, Legend
from collab_sdk.errors import InvalidRequest, UnknownModel, WrongTask
from collab_sdk.vocabulary import TaskKind
from collabd.clock import Clock
from collabd.config import DoorSettings
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.door import DeviceDoor
from collabd.device.api.local_peers import head_of
from collabd.device.doors.keys import DoorKeys
from collabd.device.doors.traffic import CountedVisit, Traffic
from collabd.device.models.loaded import DEFAULT
from collabd.http.plain import PlainHeaders, RequestHead
from collabd.http.protocol import Visit

_NO_HEADERS = PlainHeaders({})
# What a model of each task is called.
_CALLED = {
    TaskKind.CLASSIFY: "a classifier",
    TaskKind.DETECT: "a detector",
    TaskKind.SEGMENT: "a segmenter",
    TaskKind.TENSORS: "a network of tensors",
}


class DoorAnswer(NamedTuple):
    """An answer. `model`: the name of the model that gave it. `provenance`: the parameters of the daemon's response.

    `took_s`: from the question to the answer, in seconds.
    """

    answer: Answer
    model: str
    provenance: dict[str, Any]
    took_s: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Asker:
    """What an adapter needs of the daemon, for the door of `settings`."""

    settings: DoorSettings
    keys: DoorKeys
    traffic: Traffic
    admission: DeviceDoor
    plane: DeviceDataPlane
    max_request_bytes: int
    clock: Clock

    def visit(self, request: web.Request, user: str | None = None) -> Visit:
        """The visit of a request, to be entered before its body is read.

        `user`: the owner of its key; None: it has none, and its address stands for it. Raises `Overloaded`, `NotReady`.
        """
        head = head_of(request, self.max_request_bytes)
        peer = head.peer if user is None else ("key", user)
        return self.visit_of(RequestHead(head.headers, head.transport, peer, head.body_bytes))

    def visit_of_bytes(self, size: int, user: Hashable) -> Visit:
        """The visit of a call that came without HTTP, with `size` bytes. Raises `Overloaded`, `NotReady`."""
        return self.visit_of(RequestHead(_NO_HEADERS, None, user, size))

    def visit_of(self, head: RequestHead) -> Visit:
        """The visit of a call with this head. Raises `Overloaded`, `NotReady`."""
        return CountedVisit(partial(self.admission.visit, head), self.traffic)

    def model_or_own(self, name: str | None = None) -> str:
        """The model that a call asks: the one that it names, else the door's, else the default one."""
        return name or self.settings.model or DEFAULT

    def models_of(self, task: TaskKind) -> list[str]:
        """The names of the models of this task."""
        return [name for name in self.plane.models() if self._task(name) == task]

    def model_of(self, task: TaskKind, name: str | None = None) -> str:
        """The model of this task that a call asks: the one that it names, or the door's.

        Where neither names one it is the default model, or else the only one of the task. Raises `UnknownModel`,
        `WrongTask`.
        """
        if named := name or self.settings.model:
            if self._task(named) != task:
                raise WrongTask(f"{named} is {_CALLED[self._task(named)]}, and this asks for {_CALLED[task]}")
            return named
        fitting = self.models_of(task)
        if len(fitting) == 1:
            return fitting[0]
        # There may be no default model, or one of another task.
        with suppress(UnknownModel, InvalidRequest):
            if self._task(DEFAULT) == task:
                return str(self.plane.model_metadata(DEFAULT)["name"])
        those = f"there are several ({', '.join(fitting)})" if fitting else "none is loaded"
        raise WrongTask(f"this asks for {_CALLED[task]}, and {those}: name one in the call, or as `model` in [[doors]]")

    def _task(self, name: str) -> TaskKind:
        return TaskKind(self.plane.model_metadata(name)["parameters"]["task"])

    async def ask(self, visit: Visit, image: wire.Tensor, *, model: str | None = None) -> DoorAnswer:
        """The answer about the picture `image` (`collab_sdk.image.image_tensor` makes it), within the door's budget.

        Raises `CollabError`; of a network without a task `WrongTask` is the adapter's to raise.
        """
        name = self.model_or_own(model)
        began = self.clock()
        budget = {"budget": self.settings.budget} if self.settings.budget else {}
        request = wire.InferRequest([image], parameters={"binary_data_output": True, **budget})
        response = await visit.infer(name, request)
        metadata = self.plane.model_metadata(name)
        known = metadata["parameters"]
        answer = answer_in(response.outputs, known["task"], Legend(tuple(known["labels"])))
        return DoorAnswer(answer, metadata["name"], response.parameters, self.clock() - began)

    def shown(self, found: Detections, least: float | None = None) -> Detections:
        """What the door tells of `found`, the surest first. `least`: the call's own confidence; None: the door's."""
        wanted = found.confidence >= (self.settings.min_confidence if least is None else least)
        if self.settings.labels:
            wanted &= np.isin(found.class_name, self.settings.labels)
        sure = found[wanted]
        return sure[np.argsort(-sure.confidence, kind="stable")]
