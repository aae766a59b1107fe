"""The companion's own paths, besides the protocol's: packages, profiles, link probes, status and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from collab_sdk.errors import PermissionRefused, RequestTimeout
from collabd.cloud.api.checksums import checksum_middleware
from collabd.cloud.api.dashboard import STATUS, bound
from collabd.cloud.api.guard import device_of
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.counters import CloudCounters
from collabd.cloud.load_meter import LoadMeter
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.profiles import Profiles
from collabd.cloud.ping_slots import PingSlots
from collabd.cloud.report.reporter import CloudReporter
from collabd.config import PackageSettings
from collabd.dashboard import DashboardPage
from collabd.http import protocol
from collabd.http.aiohttp_privates import Answer
from collabd.http.bodies import read_body, timed_body, when_read
from collabd.http.error_replies import error_middleware
from collabd.http.metrics_reply import metrics_reply

_PING_BYTES = 2**20


class CloudRoutes:
    """One method for each path."""

    def __init__(
        self,
        *,
        dispatcher: CloudDispatcher,
        models: CloudModels,
        profiles: Profiles,
        reporter: CloudReporter,
        load: LoadMeter,
        counters: CloudCounters,
        packages: Callable[[], PackageSettings],
        push_s: float,
    ) -> None:
        """`push_s`: how long the upload of a package may take."""
        self._dispatcher = dispatcher
        self._models = models
        self._profiles = profiles
        self._reporter = reporter
        self._load = load
        self._counters = counters
        self._packages = packages
        self._push_s = push_s
        self._ping_slots = PingSlots()

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/collab/v1/packages", self.list_packages),
            web.put("/collab/v1/packages/{digest}", self.receive_package, expect_handler=when_read),
            web.get("/collab/v1/profile/{digest}", self.profile),
            web.get(STATUS, self.status),
            web.post("/collab/v1/ping", self.ping, expect_handler=when_read),
            web.get("/metrics", self.metrics),
        ]

    async def list_packages(self, _: web.Request) -> web.Response:
        """The loaded packages."""
        return web.json_response(self._reporter.packages())

    async def receive_package(self, request: web.Request) -> web.Response:
        """Take a package that a device sends."""
        settings = self._packages()
        if not settings.accept:
            raise PermissionRefused(
                "this companion accepts no packages from devices: install the package on the companion itself"
            )
        max_bytes, device = settings.max_mb * 2**20, device_of(request)
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self._models.pushes.held(device))
            try:
                async with asyncio.timeout(self._push_s):
                    data = await read_body(request, max_bytes)
            except TimeoutError:
                raise RequestTimeout(
                    f"the package did not come in within {self._push_s:.0f} s, and other packages wait"
                ) from None
            model = await self._models.receive(
                data,
                digest=request.match_info["digest"],
                max_bytes=max_bytes,
                device=device,
                turn=turn.pop_all(),
            )
        return web.json_response(self._reporter.package(model), status=201)

    async def profile(self, request: web.Request) -> web.Response:
        """The profile of a package on this machine; status 202 while it is being measured."""
        device = device_of(request)
        model = await self._models.by_digest(request.match_info["digest"], device)
        profile = await self._profiles.get(model, device)
        if profile is None:
            return web.json_response({"state": "measuring"}, status=202)
        return web.Response(body=msgspec.json.encode(profile), content_type="application/json")

    async def status(self, _: web.Request) -> web.Response:
        """What the daemon is doing."""
        return web.json_response(self._reporter.status())

    async def ping(self, request: web.Request) -> web.Response:
        """Answer a probe of the link. Only the size of its body matters. `again_s`: the next is welcome after that."""
        self._dispatcher.check_open()
        self._load.attention.pay()
        body, received = await timed_body(request, _PING_BYTES)
        answer = {
            "bytes": len(body),
            "load": self._load.value,
            "slowdown": self._dispatcher.slowdown,
            "again_s": round(self._ping_slots.again_s(device_of(request)), 3),
        }
        return web.json_response(answer, headers=received)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        return metrics_reply(self._counters.metrics())


def application(
    inference: protocol.InferenceProtocol, routes: CloudRoutes, page: DashboardPage | None
) -> tuple[web.Application, Callable[[Answer], Answer]]:
    """All paths of the daemon, and what makes of the application's answers those that are given.

    `page`: the dashboard; None: there is none.
    """
    middlewares: list[Middleware] = [checksum_middleware, error_middleware]
    # The dashboard has nothing to say of inference.
    app = web.Application(middlewares=middlewares if page is None else [*middlewares, bound(page)])
    app.add_routes([*inference.routes(), *routes.routes(), *(() if page is None else page.routes())])
    return app, lambda answer: inference.before(answer, middlewares)
