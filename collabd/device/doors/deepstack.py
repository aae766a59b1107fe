"""DeepStack's HTTP protocol, which CodeProject.AI speaks with more fields: objects in a picture, and scenes."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from collab_sdk.answers import Classification, Detections
from collab_sdk.errors import InvalidRequest, Unauthorised, WrongTask
from collab_sdk.image import image_tensor
from collab_sdk.vocabulary import TaskKind
from collabd import __version__
from collabd.device.doors.asker import Asker, DoorAnswer
from collabd.device.doors.forms import form_in, text_of
from collabd.device.doors.http_door import HttpAdapter, json_errors
from collabd.device.doors.reading import read_as
from collabd.http import bodies
from collabd.http.bodies import NETWORK, body_freed, read_body

# Frigate has room for so many.
_MOST_PREDICTIONS = 20
# Of a form without a picture.
_SMALL_FORM_BYTES = 2**14
_WELCOME = (
    "collabd speaks the protocol of DeepStack and CodeProject.AI here: POST /v1/vision/detection, a form with a "
    "picture in its part `image`.\n"
)


class _FormAnswer(NamedTuple):
    """A call's form, its answer, and when it arrived, by the asker's clock."""

    form: dict[str, bytes]
    answer: DoorAnswer
    arrived: float


def adapter(asker: Asker) -> HttpAdapter:
    """The paths of the protocol. A key is a field of the form, so that a body is read before its key is known."""
    app = web.Application(middlewares=[body_freed, json_errors(_error)])
    app.add_routes(_DeepStack(asker).routes())
    return HttpAdapter(app)


class _DeepStack:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        # Who has no key learns only that there is a daemon.
        self._version = "" if asker.keys.wanted else __version__

    def routes(self) -> list[web.RouteDef]:
        post = partial(web.post, expect_handler=bodies.when_read)
        return [
            web.get("/", self._welcome),
            post("/v1/vision/detection", self._detection),
            post("/v1/vision/custom/list", self._custom_models),
            web.get("/v1/vision/custom/list", self._custom_models),
            post("/v1/vision/custom/{model}", self._detection),
            post("/v1/vision/scene", self._scene),
            *_got(self._ping, "/v1/server/status/ping", "/v1/status/ping", "/v1/server/status/version"),
            *_got(self._updates, "/v1/server/status/updateavailable", "/v1/status/updateavailable"),
            *_got(self._modules, "/v1/status/analysis/list", "/v1/server/status/analysis/list"),
        ]

    async def _detection(self, request: web.Request) -> web.Response:
        """The objects in the form's `image`, by the door's model or the one that is named."""
        model = request.match_info.get("model")
        asked = await self._asked(request, TaskKind.DETECT, model)
        found = asked.answer.answer
        if not isinstance(found, Detections):
            raise WrongTask(f"{asked.answer.model} was replaced, and is no longer a detector")
        predictions = _predictions(self._asker.shown(found, least_confidence(asked.form)))
        labels = ", ".join(dict.fromkeys(prediction["label"] for prediction in predictions))
        said = {
            "message": f"Found {labels}" if predictions else "No objects found",
            "count": len(predictions),
            "predictions": predictions,
        }
        return self._answered("detect" if model is None else "custom", asked, said)

    async def _scene(self, request: web.Request) -> web.Response:
        """What the form's `image` shows, by a classifier."""
        asked = await self._asked(request, TaskKind.CLASSIFY)
        scene = asked.answer.answer
        if not isinstance(scene, Classification):
            raise WrongTask(f"{asked.answer.model} was replaced, and is no longer a classifier")
        return self._answered("scene", asked, {"label": scene.label, "confidence": _confidence(scene.score)})

    async def _asked(self, request: web.Request, task: TaskKind, model: str | None = None) -> _FormAnswer:
        asker = self._asker
        arrived = asker.clock()
        with asker.visit(request) as visit:
            await visit.may_read()
            body = await read_body(request, asker.max_request_bytes, NETWORK)
            form = await read_as(partial(form_in, content_type=_content_type(request)), body)
            self._check_key(form)
            least_confidence(form)
            name = asker.model_of(task, model)
            if "image" not in form:
                raise InvalidRequest("the form has no picture: send its file as the part `image`")
            return _FormAnswer(form, await asker.ask(visit, image_tensor(form["image"]), model=name), arrived)

    def _answered(self, command: str, asked: _FormAnswer, said: dict[str, Any]) -> web.Response:
        took_s = self._asker.clock() - asked.arrived
        times = {
            "duration": round(took_s, 4),
            "inferenceMs": round(asked.answer.took_s * 1e3),
            "processMs": round(asked.answer.took_s * 1e3),
            "analysisRoundTripMs": round(took_s * 1e3),
        }
        told = {"code": HTTPStatus.OK, "command": command, "timestampUTC": formatdate(usegmt=True)}
        return web.json_response({"success": True, **said, **times, **told, **_MODULE})

    def _check_key(self, form: dict[str, bytes]) -> None:
        keys = self._asker.keys
        if keys.wanted and keys.owner(text_of(form, "api_key")) is None:
            raise Unauthorised("no valid key: send a token of this door in the form, as the field `api_key`")

    async def _custom_models(self, request: web.Request) -> web.Response:
        """The names of the detectors."""
        body = await read_body(request, _SMALL_FORM_BYTES, NETWORK)
        self._check_key(form_in(body, _content_type(request)))
        models = self._asker.models_of(TaskKind.DETECT)
        return web.json_response({"success": True, "models": models, "command": "list-custom", **_MODULE})

    async def _welcome(self, _: web.Request) -> web.Response:
        """A line that says what is spoken here."""
        return web.Response(text=_WELCOME)

    async def _ping(self, _: web.Request) -> web.Response:
        """That the door is there."""
        return web.json_response({"success": True, "message": self._version, "version": self._parts()})

    async def _updates(self, _: web.Request) -> web.Response:
        """Blue Iris asks. An update of collabd comes by the package manager, and is nothing to tell of here."""
        version = self._parts()
        said = {"message": "", "updateAvailable": False, "current": version, "latest": version}
        return web.json_response({"success": True, **said})

    async def _modules(self, _: web.Request) -> web.Response:
        """The modules as CodeProject.AI lists them."""
        module = {
            **_MODULE,
            "name": _MODULE["moduleName"],
            "version": self._version,
            "status": "Started",
            "queue": "objectdetection_queue",
            "processed": self._asker.traffic.report()["calls"],
            "lastSeen": formatdate(usegmt=True),
            "hardwareType": "CPU",
            "canUseGPU": False,
            "summary": "",
            "startupSummary": "",
        }
        return web.json_response({"success": True, "statuses": [module]})

    def _parts(self) -> dict[str, int]:
        numbers = re.findall(r"\d+", self._version)
        return {name: int(number) for name, number in zip(("major", "minor", "patch"), numbers, strict=False)}


_MODULE = {"moduleId": "collabd", "moduleName": "collabd", "processedBy": "collabd"}


def _got(handler: Callable[[web.Request], Any], *paths: str) -> list[web.RouteDef]:
    return [web.get(path, handler) for path in paths]


def _content_type(request: web.Request) -> str:
    return request.headers.get(hdrs.CONTENT_TYPE, "")


def least_confidence(form: dict[str, bytes]) -> float | None:
    """The confidence that the call asks for, 0..1; None: it leaves that to the door."""
    said = text_of(form, "min_confidence")
    if not said:
        return None
    try:
        least = float(said)
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise InvalidRequest(f"min_confidence is a number from 0 to 1, not {said[:20]!r}")
    return least


def _predictions(found: Detections) -> list[dict[str, Any]]:
    """The surest, as clients read them: whole pixels of the picture that was sent."""
    predictions = []
    for each in found[:_MOST_PREDICTIONS]:
        x_min, y_min, x_max, y_max = map(round, each.xyxy)
        box = {"x_min": x_min, "y_min": y_min, "x_max": x_max, "y_max": y_max}
        predictions.append({"label": each.class_name, "confidence": _confidence(each.confidence), **box})
    return predictions


def _confidence(value: float) -> float:
    return round(value, 6)


def _error(message: str) -> dict[str, Any]:
    return {"success": False, "error": message, "duration": 0}
