"""Start-up and shutdown of the companion daemon: named steps, undone in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from aiohttp import web

from collabd.catalog.store.store import Store
from collabd.catalog.trial.apart import try_apart
from collabd.clock import MONOTONIC
from collabd.cloud.api.dataplane import CloudDataPlane
from collabd.cloud.api.door import CloudDoor
from collabd.cloud.api.guard import Guard, problems
from collabd.cloud.api.remote_peers import REMOTE_PEERS, RemotePeerLimits
from collabd.cloud.api.routes import CloudRoutes, application
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.decoding_threads import DecodingThreads
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.call.request_memory import RequestMemory
from collabd.cloud.call.work import RequestLimits
from collabd.cloud.counters import CloudCounters
from collabd.cloud.load_meter import LoadMeter
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.profiles import Profiles
from collabd.cloud.report.reporter import CloudReporter
from collabd.cloud.report.status_line import status_line
from collabd.config import CloudConfig, Loaded, PackageSettings, model_roots, state_dir
from collabd.cores import usable_cores
from collabd.engine import Engine
from collabd.http.protocol import InferenceProtocol
from collabd.http.server import http_runner
from collabd.keys.files import KeyProblem
from collabd.lifecycle import Step, background, do_without, serve_until_stopped, started
from collabd.sensing.sensed_machine import THIS_MACHINE, SensedMachine
from collabd.systemd.notify import notify
from collabd.systemd.reload import merge
from collabd.worker import Worker

log = logging.getLogger(__name__)

PROGRAM = "collab-cloudd"

# Takes effect only after a restart: the listener is open, the models are loaded, the engine is built.
_FIXED = ("server", "models", "engine", "batching", "state_dir")
# Requests in progress have so long to end. systemd kills after 30 s; a request takes a fraction of a second.
_DRAIN_S = 20.0
# Then answers have so long to be sent. A device that has not sent all of its request by then may be gone for good.
_HANG_UP_S = 2.0
# All requests together may hold so many times the bytes of the largest one, which takes them twice: as it comes, and
# decoded.
_REQUESTS = 4


async def serve(loaded: Loaded[CloudConfig], read: Callable[[], Loaded[CloudConfig]]) -> None:
    """Run until SIGTERM or SIGINT; then answer what is in flight, and stop. `read` is for SIGHUP.

    Raises `OSError` if the address cannot be listened on, `KeyProblem` as `running` does.
    """
    async with running(loaded) as daemon:
        await serve_until_stopped(daemon.lane, daemon.status, read=read, apply=daemon.reconfigure)
        log.info("stopping")


@asynccontextmanager
async def running(
    loaded: Loaded[CloudConfig],
    *,
    try_out: Callable[[Path], None] = try_apart,
    machine: SensedMachine = THIS_MACHINE,
    limits: RemotePeerLimits = REMOTE_PEERS,
) -> AsyncIterator[CloudDaemon]:
    """The daemon, ready: models warm, address listened on. Leaving the context takes it down.

    `try_out` judges the packages that devices push. Its sensors look at `machine`. `limits` are those of its peers.

    Raises `KeyProblem`, also where it would be open to other machines without keys.
    """
    if found := problems(loaded.config):
        raise KeyProblem("\n".join(found))
    daemon = CloudDaemon(loaded, try_out=try_out, machine=machine, limits=limits)
    async with started(daemon.steps):
        yield daemon


@asynccontextmanager
async def answering(loaded: Loaded[CloudConfig]) -> AsyncIterator[web.AppRunner]:
    """The daemon behind the listener of another server, which hands on to the runner what it hears."""
    daemon = CloudDaemon(loaded)
    async with started(daemon.steps[:-1]):
        yield daemon.runner


class CloudDaemon:
    """The parts of the daemon. Each of `steps` starts some of them, and makes what needs those before."""

    runner: web.AppRunner

    @property
    def steps(self) -> Sequence[Step]:
        """How it starts, in order. Behind the listener of another server it does without the last."""
        return (
            ("hold the threads", self._hold_threads),
            ("load the models", self._load_models),
            ("watch the load", self._watch_load),
            ("run the batcher", self._run_batcher),
            ("keep the profiles", self._keep_profiles),
            ("answer requests", self._answer),
            ("listen", self._listen),
        )

    def __init__(
        self,
        loaded: Loaded[CloudConfig],
        *,
        try_out: Callable[[Path], None] = try_apart,
        machine: SensedMachine = THIS_MACHINE,
        limits: RemotePeerLimits = REMOTE_PEERS,
    ) -> None:
        self._loaded = loaded
        self._limits = limits
        config = loaded.config
        self.address = ""
        self.guard = Guard(config.server)
        self.lane = Worker("compute")
        self.decoding = DecodingThreads()
        self.counters = CloudCounters()
        threads = config.engine.threads or usable_cores()
        self.load = LoadMeter(threads, machine)
        self.engine = Engine(threads=threads, cache_bytes=config.engine.cache_mb * 2**20)
        self.store = Store(model_roots(config, PROGRAM), try_out=try_out)
        self.models = CloudModels(self.store, self.engine, self._packages)
        self.counters.packages.set_function(lambda: len(self.models.loaded))
        self.batcher = Batcher(
            self.engine,
            self.lane,
            batch_max=config.batching.max,
            queue_max=config.batching.queue,
            on_run=self.counters.ran,
        )
        self.profiles = Profiles(
            self.engine,
            self.lane,
            directory=state_dir(config, PROGRAM) / "profiles",
            find=self.models.by_digest,
        )
        self.dispatcher = CloudDispatcher(
            models=self.models,
            batcher=self.batcher,
            decoding=self.decoding,
            limits=RequestLimits(batch=config.batching.max, decoded_bytes=self._max_request_bytes),
            counters=self.counters,
            load=self.load,
            memory=RequestMemory(_REQUESTS * self._max_request_bytes),
        )
        clock = MONOTONIC
        began = clock()
        self.reporter = CloudReporter(
            models=self.models,
            dispatcher=self.dispatcher,
            batcher=self.batcher,
            engine=self.engine,
            load=self.load,
            counters=self.counters,
            uptime_s=lambda: clock() - began,
        )

    def status(self) -> str:
        """One line."""
        return status_line(self.address, self.reporter.status())

    async def reconfigure(self, loaded: Loaded[CloudConfig]) -> None:
        """Put another configuration in force, and what is in the key files now. Raises `KeyProblem`."""
        self.guard.renew()
        self._loaded = merge(self._loaded, loaded, _FIXED)

    @property
    def _max_request_bytes(self) -> int:
        """What one request may bring, as it comes and once decoded."""
        return self._loaded.config.server.max_request_mb * 2**20

    def _packages(self) -> PackageSettings:
        return self._loaded.config.packages

    @asynccontextmanager
    async def _hold_threads(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(self.decoding.close)
            await asyncio.to_thread(self.lane.shutdown, cancel_futures=True)

    @asynccontextmanager
    async def _load_models(self) -> AsyncIterator[None]:
        notify("STATUS=loading the models")
        await self.models.load_all()
        yield

    @asynccontextmanager
    async def _watch_load(self) -> AsyncIterator[None]:
        await self.load.warm_up()
        async with background("measuring the load", self.load.run, do_without):
            yield

    @asynccontextmanager
    async def _run_batcher(self) -> AsyncIterator[None]:
        async with background("the batcher", self.batcher.serve):
            yield

    @asynccontextmanager
    async def _keep_profiles(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.profiles.close()

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[None]:
        """The paths of the daemon, for any listener. Requests in progress are finished."""
        routes = CloudRoutes(
            dispatcher=self.dispatcher,
            models=self.models,
            profiles=self.profiles,
            reporter=self.reporter,
            load=self.load,
            counters=self.counters,
            packages=self._packages,
            push_s=self._limits.push_s,
        )
        door = CloudDoor(self.dispatcher, self._max_request_bytes)
        plane = CloudDataPlane(self.models, self.dispatcher)
        app, faster = application(InferenceProtocol(plane, self._max_request_bytes, door=door), routes)
        async with http_runner(
            app,
            _HANG_UP_S,
            guard=lambda answer: self.guard.before(faster(answer)),
            limits=self._limits.connections,
        ) as self.runner:
            try:
                yield
            finally:
                await self._drain()

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[None]:
        """Connections come in. Not by aiohttp's sites, which cannot limit the time of a handshake."""
        server, context = self._loaded.config.server, self.guard.tls
        assert self.runner.server is not None  # noqa: S101  it is set up
        listener = await asyncio.get_running_loop().create_server(
            self.runner.server,
            server.host,
            server.port,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self._limits.handshake_s,
        )
        host, port = listener.sockets[0].getsockname()[:2]
        scheme = "http" if context is None else "https"
        self.address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("listening on %s with %s", self.address, ", ".join(self.models.names) or "no models")
        with closing(listener):
            try:
                yield
            finally:
                # Still listening, so that devices hear of it and do not take the companion for dead.
                await self._drain()

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.dispatcher.drain()
