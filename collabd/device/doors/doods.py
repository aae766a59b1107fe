"""The HTTP protocol of DOODS: detectors by name, and what each finds in a picture, filtered as the call asks."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from collab_sdk.answers import Detection, Detections
from collab_sdk.errors import CollabError, InvalidRequest, Unauthorised, WrongTask
from collab_sdk.image import image_tensor
from collab_sdk.vocabulary import TaskKind
from collabd import __version__
from collabd.device.doors.asker import Asker
from collabd.device.doors.http_door import HttpAdapter, json_errors
from collabd.device.doors.reading import read_as
from collabd.http import bodies
from collabd.http.bodies import NETWORK, body_freed, read_body
from collabd.imaging import OpenImage

_KEY = "doods-auth-key"
_OWNER = web.RequestKey("owner", str)
# Monitors ask these without a key. They tell only that there is a daemon.
_OPEN = frozenset({"/"})
# The name of the detector that a call asks if it names none.
_DEFAULT = "default"
_EVERYTHING = "*"
# A URL has its scheme within so many characters. Base64 has no colon.
_SCHEME_CHARACTERS = 16

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
# By label, or "*" for those without a threshold of their own.
Thresholds = dict[str, Percent]


class WatchedRegion(msgspec.Struct, frozen=True):
    """A part of the picture, 0..1 of its sides, with thresholds of its own: for what lies in it, or only touches it."""

    top: float = 0.0
    left: float = 0.0
    bottom: float = 1.0
    right: float = 1.0
    detect: Thresholds = {}
    covers: bool = False

    def has(self, box: Box) -> bool:
        """Whether the box counts for it."""
        if self.covers:
            return (
                self.top <= box.top and self.left <= box.left and self.bottom >= box.bottom and self.right >= box.right
            )
        return box.top <= self.bottom and box.left <= self.right and box.bottom >= self.top and box.right >= self.left


class Box(msgspec.Struct, frozen=True):
    """Where a thing is, 0..1 of the picture's sides."""

    top: float
    left: float
    bottom: float
    right: float


class DetectRequest(msgspec.Struct, frozen=True):
    """The body of a call; other fields are ignored. `data`: the picture's file in base64."""

    data: str = ""
    id: str | int | None = None
    detector_name: str | None = None
    detect: Thresholds | None = None
    regions: tuple[WatchedRegion, ...] | None = None
    preprocess: tuple[str, ...] | None = None
    image: str | bool | None = None

    def wants(self, label: str, percent: float, box: Box) -> bool:
        """Whether the answer tells of this thing."""
        if _passes(self.detect or {}, label, percent):
            return True
        return any(region.has(box) and _passes(region.detect, label, percent) for region in self.regions or ())


_REQUESTS = msgspec.json.Decoder(DetectRequest)


def detect_request(body: bytes | bytearray) -> tuple[DetectRequest, bytes]:
    """A call, and the file of its picture. Raises `InvalidRequest`."""
    try:
        request = _REQUESTS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is no request of DOODS in JSON: {error}") from error
    if request.preprocess:
        raise InvalidRequest("this door does not preprocess pictures: leave `preprocess` out")
    if request.image not in {None, "", False, "false"}:
        raise InvalidRequest("this door draws nothing: leave `image` out")
    return request, _file(request.data)


def adapter(asker: Asker) -> HttpAdapter:
    """The paths of the protocol. A key goes in the header `doods-auth-key`."""
    keys = asker.keys

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if keys.wanted and request.path not in _OPEN:
            owner = keys.owner(request.headers.get(_KEY, ""))
            if owner is None:
                raise Unauthorised(f"no valid key: send a token of this door in the header {_KEY}")
            request[_OWNER] = owner
        return await handler(request)

    app = web.Application(middlewares=[body_freed, json_errors(_error), guard])
    app.add_routes(_Doods(asker).routes())
    return HttpAdapter(app)


class _Doods:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._welcome),
            web.get("/version", self._version),
            web.get("/detectors", self._detectors),
            web.post("/detect", self._detect, expect_handler=bodies.when_read),
        ]

    async def _welcome(self, _: web.Request) -> web.Response:
        """A line that says what is spoken here."""
        return web.Response(text="collabd speaks the protocol of DOODS here: GET /detectors, POST /detect.\n")

    async def _version(self, _: web.Request) -> web.Response:
        """The version of collabd."""
        return web.json_response({"version": __version__})

    async def _detectors(self, _: web.Request) -> web.Response:
        """The detectors with their labels; `default` is the door's model."""
        asker = self._asker
        names = {name: name for name in asker.models_of(TaskKind.DETECT)}
        try:
            names = {_DEFAULT: asker.model_of(TaskKind.DETECT), **names}
        except CollabError:
            # With several of which none is the default, a call must name one.
            if not names:
                raise
        return web.json_response({"detectors": [self._detector(name, model) for name, model in names.items()]})

    def _detector(self, name: str, model: str) -> dict[str, Any]:
        known = self._asker.plane.model_metadata(model)["parameters"]["labels"]
        labels = [label for label in known if label in self._asker.settings.labels or not self._asker.settings.labels]
        # It takes pictures of any size.
        return {"name": name, "type": "collabd", "model": model, "labels": labels, "width": 0, "height": 0}

    async def _detect(self, request: web.Request) -> web.Response:
        """The objects in the picture that the JSON holds as `data`."""
        asker = self._asker
        with asker.visit(request, request.get(_OWNER)) as visit:
            await visit.may_read()
            body = await read_body(request, asker.max_request_bytes, NETWORK)
            call, file = await read_as(detect_request, body)
            named = None if call.detector_name in {None, "", _DEFAULT} else call.detector_name
            model = asker.model_of(TaskKind.DETECT, named)
            size = OpenImage(file).upright_size
            told = await asker.ask(visit, image_tensor(file), model=model)
        if not isinstance(told.answer, Detections):
            raise WrongTask(f"{told.model} was replaced, and is no longer a detector")
        detections = self._wanted(call, told.answer, size)
        return web.json_response({"id": call.id or "", "detections": detections})

    def _wanted(self, call: DetectRequest, found: Detections, size: tuple[int, int]) -> list[dict[str, Any]]:
        """What a call asks for; without thresholds, what the door tells."""
        states = bool(call.detect or call.regions)
        things = [(each, _box(each, size)) for each in self._asker.shown(found, 0.0 if states else None)]
        return [
            {**msgspec.structs.asdict(box), "label": each.class_name, "confidence": _percent(each)}
            for each, box in things
            if not states or call.wants(each.class_name, _percent(each), box)
        ]


def _passes(thresholds: Thresholds, label: str, percent: float) -> bool:
    least = thresholds.get(label, thresholds.get(_EVERYTHING))
    return least is not None and percent >= least


def _percent(found: Detection) -> float:
    return round(found.confidence * 100, 4)


def _box(found: Detection, size: tuple[int, int]) -> Box:
    (x1, y1, x2, y2), (width, height) = found.xyxy, size
    top, left, bottom, right = (min(max(at, 0.0), 1.0) for at in (y1 / height, x1 / width, y2 / height, x2 / width))
    return Box(top, left, bottom, right)


def _file(data: str) -> bytes:
    if ":" in data[:_SCHEME_CHARACTERS]:
        raise InvalidRequest(
            "this door fetches nothing: send the picture's file itself as `data`, in base64, not a URL"
        )
    try:
        file = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"`data` is not base64: {error}") from error
    if not file:
        raise InvalidRequest("there is no picture: send its file as `data`, in base64")
    return file


def _error(message: str) -> dict[str, Any]:
    return {"error": message}
