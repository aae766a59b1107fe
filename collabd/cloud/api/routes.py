"""The companion's own calls, beside the protocol: packages, profiles, link probes, status and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from aiohttp import web

import collabd
from collab_sdk.errors import PermissionRefused, RequestTimeout
from collabd.cloud.api.guard import device_of
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.dataplane import CloudDataPlane
from collabd.cloud.load import LoadMeter
from collabd.cloud.metrics import Metrics
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.model import CloudModel
from collabd.cloud.models.profiles import Profiles
from collabd.config import PackageSettings
from collabd.engine import Engine
from collabd.http.bodies import read_body, timed_body, when_read

_PING_BYTES = 2**20
_PUSH_S = 600.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class CloudRoutes:
    """One method a path."""

    def __init__(
        self,
        *,
        plane: CloudDataPlane,
        models: CloudModels,
        profiles: Profiles,
        batcher: Batcher,
        engine: Engine,
        load: LoadMeter,
        metrics: Metrics,
        packages: Callable[[], PackageSettings],
    ) -> None:
        self._plane = plane
        self._models = models
        self._profiles = profiles
        self._batcher = batcher
        self._engine = engine
        self._load = load
        self._metrics = metrics
        self._packages = packages
        self._started = time.monotonic()

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/collab/v1/packages", self.list_packages),
            web.put("/collab/v1/packages/{digest}", self.receive_package, expect_handler=when_read),
            web.get("/collab/v1/profile/{digest}", self.profile),
            web.get("/collab/v1/status", self.status),
            web.post("/collab/v1/ping", self.ping, expect_handler=when_read),
            web.get("/metrics", self.metrics),
        ]

    async def list_packages(self, _: web.Request) -> web.Response:
        """The loaded packages."""
        return web.json_response([_described(model) for model in self._models.loaded])

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
                async with asyncio.timeout(_PUSH_S):
                    data = await read_body(request, max_bytes)
            except TimeoutError:
                raise RequestTimeout(
                    f"the package did not come in within {_PUSH_S:.0f} s, and other packages wait"
                ) from None
            model = await self._models.receive(
                data,
                digest=request.match_info["digest"],
                max_bytes=max_bytes,
                device=device,
                turn=turn.pop_all(),
            )
        return web.json_response(_described(model), status=201)

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
        body = {
            "version": collabd.__version__,
            "ready": self._plane.ready(),
            "uptime_s": round(time.monotonic() - self._started, 1),
            "load": self._load.value,
            "queue": self._batcher.queued,
            "packages": [_described(model) for model in self._models.loaded],
            "engine": msgspec.to_builtins(self._engine.stats),
        }
        return web.json_response(body)

    async def ping(self, request: web.Request) -> web.Response:
        """A probe of the link: the body is for its weight only."""
        self._plane.check_open()
        body, received = await timed_body(request, _PING_BYTES)
        answer = {"bytes": len(body), "load": self._load.value, "slowdown": self._load.slowdown}
        return web.json_response(answer, headers=received)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": _METRICS_TYPE})


def _described(model: CloudModel) -> dict[str, Any]:
    return {
        "name": model.manifest.name,
        "digest": model.digest,
        "weight_bytes": model.network.weight_bytes,
        "layers": len(model.manifest.layers),
        "cuts": len(model.manifest.cuts),
    }
