"""The HTTP routes of the device daemon: the Open Inference Protocol, and collabd's own calls under /collab/v1/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from collab_sdk.errors import InvalidRequest
from collab_sdk.reports import DoorReport, DoorsReport
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.permissions import gatekeeper
from collabd.device.api.shared_memory_routes import SharedMemoryRoutes
from collabd.device.call.history import KEPT_DECISIONS
from collabd.device.models.loaded import LoadedModels
from collabd.http import protocol
from collabd.http.aiohttp_privates import Answer
from collabd.http.bodies import LOCAL, body_freed, read_body, when_read
from collabd.http.error_replies import error_middleware
from collabd.http.metrics_reply import metrics_reply

# A request to collabd's own calls carries a path or a name, but no tensors.
_MAX_JSON = 64 * 1024


class _LoadRequest(msgspec.Struct, forbid_unknown_fields=True):
    path: str


class DeviceRoutes:
    """Answers the calls under /collab/v1/."""

    def __init__(self, plane: DeviceDataPlane, models: LoadedModels, doors: Callable[[], list[DoorReport]]) -> None:
        self._plane = plane
        self._models = models
        self._doors = doors

    def routes(self) -> list[web.RouteDef]:
        """The paths, with their handlers."""
        return [
            web.get("/collab/v1/status", self._status),
            web.get("/collab/v1/profile/{model}", self._profile),
            web.get("/collab/v1/models", self._list),
            web.get("/collab/v1/models/{model}", self._show),
            web.post("/collab/v1/models", self._load, expect_handler=when_read),
            web.delete("/collab/v1/models/{model}", self._remove),
            web.get("/collab/v1/explain", self._explain),
            web.get("/collab/v1/doors", self._doors_open),
            web.get("/collab/v1/config", self._config),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        """The state of the daemon: models, companions, the link, the load, the last call."""
        return web.json_response(self._plane.generation.reporter.status())

    async def _profile(self, request: web.Request) -> web.Response:
        """A row for each candidate cut of a model. Query: `budget`, for which the planner's verdicts are given."""
        name = request.match_info["model"]
        if (model := self._models.at_hand(name)) is None:
            model = await self._models.fetch(name)
            self._let_go()
        return web.json_response(self._plane.generation.reporter.profile(model, request.query.get("budget")))

    async def _explain(self, request: web.Request) -> web.Response:
        """The last calls, the plans considered for each, and why. Query: `last`, how many."""
        text = request.query.get("last", "1")
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= KEPT_DECISIONS):
            raise InvalidRequest(f"last must be a number from 1 to {KEPT_DECISIONS}, not {text[:20]!r}")
        return web.json_response(self._plane.generation.reporter.explain(int(text)))

    async def _list(self, _: web.Request) -> web.Response:
        """The loaded models."""
        return web.json_response({"models": self._plane.generation.reporter.models()})

    async def _show(self, request: web.Request) -> web.Response:
        """One model: its task, layers and candidate cuts."""
        return web.json_response(
            self._plane.generation.reporter.layers(self._models.package(request.match_info["model"]))
        )

    async def _load(self, request: web.Request) -> web.Response:
        """Load the package in a folder, `{"path": "..."}`. For administrators."""
        body = await read_body(request, _MAX_JSON, LOCAL)
        try:
            path = msgspec.json.decode(body, type=_LoadRequest).path
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f'the body must be {{"path": "/directory/of/a/package"}}: {error}') from error
        model = await self._models.install(Path(path))
        self._let_go()
        return web.json_response(self._plane.generation.reporter.model(model.package))

    async def _remove(self, request: web.Request) -> web.Response:
        """Remove a model that was added. For administrators."""
        await self._models.remove(request.match_info["model"])
        self._let_go()
        return web.json_response({"removed": request.match_info["model"]})

    def _let_go(self) -> None:
        """A model may be gone. The choices for its calls would keep its weights."""
        self._plane.generation.planner.reconsider()

    async def _doors_open(self, _: web.Request) -> web.Response:
        """The doors, and what came through them."""
        return web.json_response(DoorsReport(doors=self._doors()))

    async def _config(self, _: web.Request) -> web.Response:
        """The settings in force, each with its origin."""
        loaded = self._plane.generation.loaded
        file = None if loaded.path is None else str(loaded.path)
        return web.json_response({"file": file, "settings": loaded.report()})


def application(
    inference: protocol.InferenceProtocol,
    control: DeviceRoutes,
    shared_memory: SharedMemoryRoutes,
    *,
    metrics: Callable[[], bytes],
    administrators: str,
) -> tuple[web.Application, Callable[[Answer], Answer]]:
    """The daemon's web application, and what makes of its answers those that are given.

    `metrics`: what Prometheus reads. `administrators`: the name of the administrators' group, or empty.
    """

    async def told(_: web.Request) -> web.Response:
        """Text for Prometheus."""
        return metrics_reply(metrics())

    app = web.Application(middlewares=[error_middleware, gatekeeper(administrators)])
    app.add_routes([*inference.routes(), *control.routes(), *shared_memory.routes(), web.get("/metrics", told)])
    # The gatekeeper has nothing to say of inference.
    return app, lambda answer: inference.before(answer, [body_freed, error_middleware])
