"""collab-cloudd from start to end: a list of named steps, undone in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web

from collabd.catalog.store.store import Store
from collabd.cloud.api.checksums import checksum_middleware
from collabd.cloud.api.door import CloudDoor
from collabd.cloud.api.guard import Guard, problems
from collabd.cloud.api.routes import CloudRoutes
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.dataplane import CloudDataPlane
from collabd.cloud.call.decoding import DecodingThreads
from collabd.cloud.call.intake import RequestLimits
from collabd.cloud.call.memory import RequestMemory
from collabd.cloud.load import LoadMeter
from collabd.cloud.metrics import Metrics
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.profiles import Profiles
from collabd.config import CloudConfig, Loaded, model_roots, state_dir
from collabd.engine import Engine
from collabd.http import protocol
from collabd.http.error_replies import error_middleware
from collabd.http.server import http_runner
from collabd.keys.files import KeyProblem
from collabd.lifecycle import background, do_without, serve_until_stopped
from collabd.systemd.notify import notify
from collabd.systemd.reload import merge
from collabd.systemd.watchdog import Worker

log = logging.getLogger(__name__)

PROGRAM = "collab-cloudd"

# In effect only after a restart.
_FIXED = ("server", "models", "engine", "batching", "state_dir")
# systemd kills after 30 s; a request takes a fraction of a second.
_DRAIN_S = 20.0
# After that, for answers on their way. Who has not sent all of a request by then may be gone for good.
_HANG_UP_S = 2.0
# All requests together may hold so many times the largest. That one may hold itself twice: as it comes, and decoded.
_REQUESTS = 4
# Far longer than the slowest link takes; who stalls in the middle of it holds no more than a connection.
_HANDSHAKE_S = 10.0


class CloudDaemon:
    """The parts of the daemon, put together but not started."""

    def __init__(self, config: CloudConfig) -> None:
        self.config = config
        self.address = ""
        self.guard = Guard(config.server)
        self.lane = Worker("compute")
        self.decoding = DecodingThreads()
        self.metrics = Metrics()
        threads = config.engine.threads or os.cpu_count() or 1
        self.load = LoadMeter(threads)
        self.engine = Engine(threads=threads, cache_bytes=config.engine.cache_mb * 2**20)
        self.models = CloudModels(Store(model_roots(config, PROGRAM)), self.engine, lambda: self.config.packages)
        self.metrics.packages.set_function(lambda: len(self.models.loaded))
        self.batcher = Batcher(
            self.engine,
            self.lane,
            batch_max=config.batching.max,
            queue_max=config.batching.queue,
            on_run=self.metrics.ran,
        )
        profiles = state_dir(config, PROGRAM) / "profiles"
        self.profiles = Profiles(self.engine, self.lane, profiles, self.models.by_digest)
        memory = RequestMemory(_REQUESTS * self.max_request_bytes)
        limits = RequestLimits(batch=config.batching.max, decoded_bytes=self.max_request_bytes)
        self.plane = CloudDataPlane(self.models, self.batcher, self.decoding, limits, self.metrics, self.load, memory)
        self.door = CloudDoor(self.plane, self.max_request_bytes)

    @property
    def max_request_bytes(self) -> int:
        """What one request may bring, as it comes and once decoded."""
        return self.config.server.max_request_mb * 2**20

    def status(self) -> str:
        """One line."""
        answers, last_s = self.metrics.answers, self.metrics.last_s
        calls = f"{answers} answers, the last took {last_s * 1e3:.1f} ms" if answers else "no request yet"
        return f"{self.address} with {len(self.models.loaded)} packages: {calls}"

    def app(self) -> web.Application:
        """All paths of the daemon."""
        control = CloudRoutes(
            plane=self.plane,
            models=self.models,
            profiles=self.profiles,
            batcher=self.batcher,
            engine=self.engine,
            load=self.load,
            metrics=self.metrics,
            packages=lambda: self.config.packages,
        )
        app = web.Application(middlewares=[checksum_middleware, error_middleware])
        app.add_routes([*protocol.routes(self.plane, self.max_request_bytes, door=self.door), *control.routes()])
        return app


@asynccontextmanager
async def started(config: CloudConfig) -> AsyncIterator[CloudDaemon]:
    """The running daemon; leaving the context takes it down, requests in progress being finished.

    Raises `KeyProblem`, also where it would be open to other machines without keys.
    """
    if found := problems(config):
        raise KeyProblem("\n".join(found))
    async with running(config) as cloud, answering(cloud) as runner, _listening(runner, cloud):
        yield cloud
        # Still listening, so that devices hear of it and do not take the companion for dead.
        await _drain(cloud)


@asynccontextmanager
async def _listening(runner: web.AppRunner, cloud: CloudDaemon) -> AsyncIterator[None]:
    """Connections come to `runner`. Not by aiohttp's sites, which cannot limit the time of a handshake."""
    server, context = cloud.config.server, cloud.guard.tls
    assert runner.server is not None  # noqa: S101  it is set up
    listener = await asyncio.get_running_loop().create_server(
        runner.server,
        server.host,
        server.port,
        ssl=context,
        ssl_handshake_timeout=None if context is None else _HANDSHAKE_S,
    )
    host, port = listener.sockets[0].getsockname()[:2]
    scheme = "http" if context is None else "https"
    cloud.address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        yield
    finally:
        listener.close()


@asynccontextmanager
async def running(config: CloudConfig) -> AsyncIterator[CloudDaemon]:
    """The parts of the daemon at work, listening nowhere; leaving the context takes them down."""
    cloud = CloudDaemon(config)
    async with AsyncExitStack() as undo:
        for name, step in _STEPS:
            log.debug("start: %s", name)
            await undo.enter_async_context(step(cloud))
        yield cloud


@asynccontextmanager
async def answering(cloud: CloudDaemon) -> AsyncIterator[web.AppRunner]:
    """The paths of `cloud`, for any listener; leaving the context finishes the requests in progress."""
    async with http_runner(cloud.app(), _HANG_UP_S, guard=cloud.guard.before) as runner:
        yield runner
        await _drain(cloud)


async def _drain(cloud: CloudDaemon) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            await cloud.plane.drain()


async def serve(loaded: Loaded[CloudConfig], read: Callable[[], Loaded[CloudConfig]]) -> None:
    """Run until SIGTERM or SIGINT; `read` is for SIGHUP. Raises `OSError` if the address cannot be listened on."""
    in_force = loaded
    notify("STATUS=loading the models")
    async with started(loaded.config) as cloud:

        async def apply(new: Loaded[CloudConfig]) -> None:
            nonlocal in_force
            cloud.guard.renew()
            in_force = merge(in_force, new, _FIXED)
            cloud.config = in_force.config

        log.info("listening on %s with %s", cloud.address, ", ".join(cloud.models.names) or "no models")
        await serve_until_stopped(cloud.lane, cloud.status, read=read, apply=apply)
        log.info("stopping")


@asynccontextmanager
async def _threads(cloud: CloudDaemon) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await asyncio.to_thread(cloud.decoding.close)
        await asyncio.to_thread(cloud.lane.shutdown, cancel_futures=True)


@asynccontextmanager
async def _models(cloud: CloudDaemon) -> AsyncIterator[None]:
    await cloud.models.load_all()
    yield


@asynccontextmanager
async def _load_meter(cloud: CloudDaemon) -> AsyncIterator[None]:
    await cloud.load.warm_up()
    async with background("measuring the load", cloud.load.run, do_without):
        yield


@asynccontextmanager
async def _batcher(cloud: CloudDaemon) -> AsyncIterator[None]:
    async with background("the batcher", cloud.batcher.serve):
        yield


@asynccontextmanager
async def _profiles(cloud: CloudDaemon) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await cloud.profiles.close()


_STEPS: tuple[tuple[str, Callable[[CloudDaemon], AbstractAsyncContextManager[None]]], ...] = (
    ("hold the threads", _threads),
    ("load the models", _models),
    ("watch the load", _load_meter),
    ("run the batcher", _batcher),
    ("keep the profiles", _profiles),
)
