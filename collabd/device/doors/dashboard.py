"""The dashboard of the device: the page, and what it shows. It only tells; nothing can be changed through this door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk.errors import InvalidRequest, Unauthorised
from collab_sdk.reports import PicturesReport
from collabd.clock import Clock
from collabd.dashboard import DashboardPage, Viewed, bind
from collabd.device.call.dashboard_pictures import DashboardPictures
from collabd.device.doors.asker import Asker
from collabd.device.doors.http_door import HttpAdapter
from collabd.device.models.loaded import LoadedModels
from collabd.http.error_replies import error_middleware

_SCHEME = "bearer "
_REFUSED = "no valid key: give one that collabctl doors key NAME has made"
# The most decisions that a page asks for, each with all its candidates.
_MOST_DECISIONS = 10
# A report is made once in so long, however many look.
_FRESH_S = 0.5
_JSON = "application/json"


def adapter(asker: Asker, models: LoadedModels, shown: DashboardPictures | None) -> HttpAdapter:
    """The page at /dashboard/, and its paths under /collab/v1/. `shown`: the pictures; None: they are not switched on.

    A key goes in `Authorization: Bearer TOKEN`.
    """
    keys = asker.keys
    page = DashboardPage(Viewed("collabd", keys=keys.wanted))

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        page.check_name(request)
        if request.path in page.paths or request.path == "/":
            return await handler(request)
        if keys.wanted:
            authorization = request.headers.get(hdrs.AUTHORIZATION, "")
            token = authorization[len(_SCHEME) :] if authorization.lower().startswith(_SCHEME) else ""
            if keys.owner(token) is None:
                raise Unauthorised(_REFUSED)
        asker.traffic.began()
        return await handler(request)

    told = _Told(asker, models, shown)
    app = web.Application(middlewares=[_bound, error_middleware, guard])
    app.add_routes([web.get("/", _to_page), *page.routes(), *told.routes()])
    return HttpAdapter(app)


class _Told:
    """What the page shows."""

    def __init__(self, asker: Asker, models: LoadedModels, shown: DashboardPictures | None) -> None:
        self._asker = asker
        self._models = models
        self._shown = shown
        self._fresh = _Fresh(asker.clock)

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/collab/v1/status", self._status),
            web.get("/collab/v1/models/{model}", self._model),
            web.get("/collab/v1/explain", self._explain),
            web.get("/collab/v1/pictures", self._pictures),
            web.get("/collab/v1/pictures/{id}", self._picture),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._fresh.of("status", self._asker.plane.generation.reporter.status))

    async def _explain(self, request: web.Request) -> web.Response:
        last = _number(request.query.get("last", "1"), f"last must be a number from 1 to {_MOST_DECISIONS}")
        last = min(last, _MOST_DECISIONS)
        return _json(self._fresh.of(f"explain {last}", lambda: self._asker.plane.generation.reporter.explain(last)))

    async def _model(self, request: web.Request) -> web.Response:
        package = self._models.package(request.match_info["model"])
        return _json(msgspec.json.encode(self._asker.plane.generation.reporter.layers(package)))

    async def _pictures(self, _: web.Request) -> web.Response:
        kept = [] if self._shown is None else self._shown.look()
        return _json(msgspec.json.encode(PicturesReport(shown=self._shown is not None, pictures=kept)))

    async def _picture(self, request: web.Request) -> web.Response:
        number = _number(request.match_info["id"], "no such picture")
        jpeg = None if self._shown is None else self._shown.jpeg(number)
        if jpeg is None:
            raise web.HTTPNotFound
        return web.Response(body=jpeg, content_type="image/jpeg")


class _Fresh:
    """Reports as JSON, each made anew when it is no longer fresh."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, tuple[float, bytes]] = {}

    def of(self, name: str, make: Callable[[], Any]) -> bytes:
        """The report of this name."""
        at, made = self._made.get(name, (0.0, b""))
        now = self._clock()
        if not made or now - at > _FRESH_S:
            made = msgspec.json.encode(make())
            self._made[name] = (now, made)
        return made


@web.middleware
async def _bound(request: web.Request, handler: Handler) -> web.StreamResponse:
    reply = await handler(request)
    bind(reply)
    return reply


async def _to_page(_: web.Request) -> web.Response:
    return web.Response(status=308, headers={hdrs.LOCATION: "dashboard/"})


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type=_JSON)


def _number(text: str, otherwise: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise InvalidRequest(f"{otherwise}, not {text[:20]!r}")
    return int(text[:9])
