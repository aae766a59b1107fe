"""Start-up and shutdown of the companion daemon: named steps, undone in reverse."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from collab_sdk.vocabulary import Precision
from collabd.catalog.store.shared import SharedPackages, shared_packages
from collabd.catalog.store.store import Store
from collabd.catalog.trial.apart import try_apart
from collabd.clock import MONOTONIC
from collabd.cloud.api.dashboard import page_of
from collabd.cloud.api.dataplane import CloudDataPlane
from collabd.cloud.api.door import CloudDoor
from collabd.cloud.api.guard import Guard, problems
from collabd.cloud.api.key_watch import key_files, renew_at_change
from collabd.cloud.api.plain_requests import plain_answer
from collabd.cloud.api.remote_peers import REMOTE_PEERS, RemotePeerLimits
from collabd.cloud.api.routes import CloudRoutes, application
from collabd.cloud.call.answer_coding import AnswerCoding
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.decoding_threads import DecodingThreads
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.cloud.call.places import Places
from collabd.cloud.call.request_memory import RequestMemory
from collabd.cloud.call.work import RequestLimits
from collabd.cloud.counters import CloudCounters
from collabd.cloud.health_senses import cloud_health
from collabd.cloud.lanes import Lanes
from collabd.cloud.load_meter import LoadMeter
from collabd.cloud.models.loaded import CloudModels
from collabd.cloud.models.profiles import Profiles
from collabd.cloud.report.metrics import HealthMetrics
from collabd.cloud.report.reporter import CloudReporter
from collabd.cloud.report.status_line import status_line
from collabd.config import CloudConfig, CloudModelSettings, Loaded, PackageSettings, model_roots, state_dir
from collabd.discovery.package import MISSING, is_installed
from collabd.engine import Engine, session_bytes
from collabd.file_changes import FileChanges
from collabd.health.conditions import Sighting
from collabd.health.tracker import HealthTracker
from collabd.health.watch import USUAL_PACE, HealthPace
from collabd.http.protocol import InferenceProtocol
from collabd.http.server import ConnectionServer, http_runner
from collabd.keys.files import KeyProblem
from collabd.lifecycle import Step, background, do_without, serve_until_stopped, started
from collabd.limits.cores import usable_cores
from collabd.providers.choice import Providers
from collabd.providers.sense import Served, providers_seen
from collabd.sensing.sensed_machine import THIS_MACHINE, SensedMachine
from collabd.systemd.notify import notify, stopping_takes
from collabd.systemd.reload import merge
from collabd.worker import Worker

if TYPE_CHECKING:
    from collabd.cloud.report.announcement import CloudAnnouncement

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
# A lane needs the interpreter between two runs only, while the event loop works through the answers of a batch. It
# waits for so long at most; with Python's 5 ms it stood idle for 3 % of the time.
_SWITCH_S = 1e-4


async def serve(loaded: Loaded[CloudConfig], read: Callable[[], Loaded[CloudConfig]]) -> None:
    """Run until SIGTERM or SIGINT; then answer what is in flight, and stop. `read` is for SIGHUP.

    Raises `OSError` if the address cannot be listened on, `KeyProblem` as `running` does.
    """
    sys.setswitchinterval(_SWITCH_S)
    async with running(loaded) as daemon:
        await serve_until_stopped(
            daemon.lanes.workers, daemon.status, read=read, apply=daemon.reconfigure, part=daemon.part
        )
        log.info("stopping")


@asynccontextmanager
async def running(
    loaded: Loaded[CloudConfig],
    *,
    try_out: Callable[[Path], None] = try_apart,
    machine: SensedMachine = THIS_MACHINE,
    limits: RemotePeerLimits = REMOTE_PEERS,
    new_worker: Callable[[str], Worker] = Worker,
    health: HealthPace = USUAL_PACE,
) -> AsyncIterator[CloudDaemon]:
    """The daemon, ready: models warm, address listened on. Leaving the context takes it down.

    `try_out` judges the packages that devices push. Its sensors look at `machine`. `limits` are those of its peers.
    `health`: how often it looks after its health. `new_worker` makes its threads.

    Raises `KeyProblem`, also where it would be open to other machines without keys.
    """
    if found := problems(loaded.config):
        raise KeyProblem("\n".join(found))
    daemon = CloudDaemon(loaded, try_out=try_out, machine=machine, limits=limits, new_worker=new_worker, health=health)
    async with started(daemon.steps):
        yield daemon


@asynccontextmanager
async def answering(loaded: Loaded[CloudConfig]) -> AsyncIterator[CloudDaemon]:
    """The daemon behind the listener of another server, which hands on to its runner what it hears."""
    daemon = CloudDaemon(loaded)
    async with started(daemon.steps[:-2]):
        yield daemon


class CloudDaemon:
    """The parts of the daemon. Each of `steps` starts some of them, and makes what needs those before."""

    runner: web.AppRunner
    listener: asyncio.Server

    @property
    def steps(self) -> Sequence[Step]:
        """How it starts, in order. Behind the listener of another server it does without the last two."""
        return (
            ("hold the threads", self._hold_threads),
            ("load the models", self._load_models),
            ("watch the load", self._watch_load),
            ("keep the profiles", self._keep_profiles),
            ("watch the health", self._watch_health),
            ("watch the keys", self._watch_keys),
            ("answer requests", self._answer),
            ("listen", self._listen),
            ("announce", self._announce),
        )

    def __init__(
        self,
        loaded: Loaded[CloudConfig],
        *,
        try_out: Callable[[Path], None] = try_apart,
        machine: SensedMachine = THIS_MACHINE,
        limits: RemotePeerLimits = REMOTE_PEERS,
        new_worker: Callable[[str], Worker] = Worker,
        health: HealthPace = USUAL_PACE,
    ) -> None:
        self._loaded = loaded
        self._limits = limits
        config = loaded.config
        self.address = ""
        # None: nothing is announced.
        self._announcement: CloudAnnouncement | None = None
        self._page = page_of(config.server)
        # Made first, so that it sees a change after the files were read.
        self._key_changes = FileChanges(key_files(config.server))
        self.guard = Guard(config.server, frozenset() if self._page is None else self._page.paths)
        self.decoding = DecodingThreads(new_worker)
        self.coding = new_worker("encode")
        self.counters = CloudCounters()
        cores = config.engine.threads or usable_cores()
        self.lanes = Lanes(min(config.engine.lanes or cores, cores), cores, new_worker)
        self.counters.lanes.set(self.lanes.count)
        self.counters.busy_lanes.set_function(lambda: self.lanes.busy)
        # One for a lane, and one for a run that has all cores.
        kinds = 1 if self.lanes.count == 1 else 2
        self.load = LoadMeter(cores, machine)
        self.engine = Engine(threads=cores, cache_bytes=session_bytes(config.engine.cache_mb, kinds=kinds))
        self.store = Store(model_roots(config, PROGRAM), try_out=try_out)
        self._providers = Providers(config.engine.providers, threads=cores)
        self.models = CloudModels(
            self.store, self.engine, self._packages, shared=_shared(config.models), providers=self._providers
        )
        self.counters.packages.set_function(lambda: len(self.models.loaded))
        self.places = Places(config.batching.queue)
        self.batcher = Batcher(
            self.engine, self.lanes, self.places, batch_max=config.batching.max, on_run=self.counters.ran
        )
        self.profiles = Profiles(
            self.engine,
            self.lanes,
            directory=state_dir(config, PROGRAM) / "profiles",
            find=self.models.by_digest,
            give_up=self.models.give_up,
        )
        self.dispatcher = CloudDispatcher(
            models=self.models,
            places=self.places,
            batcher=self.batcher,
            decoding=self.decoding,
            coding=AnswerCoding(self.coding),
            limits=RequestLimits(batch=config.batching.max, decoded_bytes=self._max_request_bytes),
            counters=self.counters,
            load=self.load,
            memory=RequestMemory(_REQUESTS * self._max_request_bytes),
        )
        tracker = HealthTracker(health.clock)
        self.counters.beside(HealthMetrics(tracker))
        self._health = cloud_health(
            tracker,
            self.counters,
            self.engine,
            providers=self._providers_seen,
            server=lambda: self._loaded.config.server,
            root=machine.root,
            state=state_dir(config, PROGRAM),
            pace=health,
        )
        clock = MONOTONIC
        began = clock()
        self.reporter = CloudReporter(
            models=self.models,
            dispatcher=self.dispatcher,
            places=self.places,
            lanes=self.lanes,
            engine=self.engine,
            load=self.load,
            counters=self.counters,
            health=tracker,
            uptime_s=lambda: clock() - began,
        )

    def status(self) -> str:
        """One line."""
        return status_line(self.address, self.reporter.status())

    async def reconfigure(self, loaded: Loaded[CloudConfig]) -> None:
        """Put another configuration in force, and what is in the key files now. Raises `KeyProblem`."""
        self._renew_keys()
        self._loaded = merge(self._loaded, loaded, _FIXED)

    def _renew_keys(self) -> None:
        self.guard.renew()
        if self._announcement is not None:
            self._announcement.renew()

    async def part(self) -> None:
        """For `drain_s` answer all that comes, but tell load balancers to send no more, and end each connection."""
        drain_s = self._loaded.config.server.drain_s
        if not drain_s:
            return
        assert isinstance(self.runner.server, ConnectionServer)  # noqa: S101  `http_runner` makes no other
        stopping_takes(drain_s + _DRAIN_S + 2 * _HANG_UP_S)
        log.info("stopping in %g s: not ready any more, and still answering what comes", drain_s)
        self.dispatcher.parting = self.runner.server.parting = True
        await asyncio.sleep(drain_s)

    @property
    def _max_request_bytes(self) -> int:
        """What one request may bring, as it comes and once decoded."""
        return self._loaded.config.server.max_request_mb * 2**20

    def _packages(self) -> PackageSettings:
        return self._loaded.config.packages

    def _providers_seen(self) -> Iterator[Sighting]:
        served = (Served(each.manifest.name, each.digest, each.keys[Precision.FP32]) for each in self.models.loaded)
        return providers_seen(self._providers, self.engine, served)

    @asynccontextmanager
    async def _hold_threads(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(self.decoding.close)
            await asyncio.to_thread(self.lanes.shutdown)
            await asyncio.to_thread(self.coding.shutdown, cancel_futures=True)

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
    async def _keep_profiles(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.profiles.close()

    @asynccontextmanager
    async def _watch_health(self) -> AsyncIterator[None]:
        async with background("watching the health", self._health.run, do_without):
            yield

    @asynccontextmanager
    async def _watch_keys(self) -> AsyncIterator[None]:
        watching = partial(renew_at_change, self._key_changes, self._renew_keys)
        async with background("watching the keys", watching, do_without):
            yield

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
        plane = CloudDataPlane(self.models, self.dispatcher, self.counters, max_batch=self._loaded.config.batching.max)
        inference = InferenceProtocol(plane, self._max_request_bytes, door=door)
        app, faster = application(inference, routes, self._page)
        async with http_runner(
            app,
            _HANG_UP_S,
            guard=lambda answer: self.guard.before(faster(answer)),
            plain_answer=plain_answer(inference, self.guard, self.dispatcher),
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
        self.listener = await asyncio.get_running_loop().create_server(
            self.runner.server,
            server.host,
            server.port,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self._limits.handshake_s,
        )
        host, port = self.listener.sockets[0].getsockname()[:2]
        scheme = "http" if context is None else "https"
        self.address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("listening on %s with %s", self.address, ", ".join(self.models.names) or "no models")
        with closing(self.listener):
            try:
                yield
            finally:
                # Still listening, so that devices hear of it and do not take the companion for dead.
                await self._drain()

    @asynccontextmanager
    async def _announce(self) -> AsyncIterator[None]:
        """The local network hears of the daemon, if the configuration says so and the machine can."""
        server = self._loaded.config.server
        if not server.announce:
            yield
        elif not is_installed():
            log.error("not announced: [server] announce %s", MISSING)
            yield
        else:
            # An extra, and what reads certificates: 10 MB that most do without.
            from collabd.cloud.report.announcement import CloudAnnouncement  # noqa: PLC0415
            from collabd.discovery.announcer import Announcer  # noqa: PLC0415

            self._announcement = CloudAnnouncement(server, self.listener.sockets)
            async with background("announcing", Announcer(self._announcement).run, do_without):
                yield

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.dispatcher.drain()


def _shared(models: CloudModelSettings) -> SharedPackages | None:
    return shared_packages(models.shared, models.shared_mb * 2**20) if models.shared else None
