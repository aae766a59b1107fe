"""Start-up and shutdown of the device daemon: named steps, undone in reverse."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial

from aiohttp import web

from collab_sdk import wire
from collab_sdk.reports import StatusReport
from collabd.catalog.store.store import Store
from collabd.clock import MONOTONIC
from collabd.config import DeviceConfig, DeviceServerSettings, Loaded, model_roots, state_dir
from collabd.device.api.admission import AdmissionLimits
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.door import DeviceDoor
from collabd.device.api.local_peers import LOCAL_PEERS, LocalPeers
from collabd.device.api.routes import DeviceRoutes, application
from collabd.device.api.shared_memory import SharedMemory
from collabd.device.api.shared_memory_routes import SharedMemoryRoutes
from collabd.device.api.socket import open_socket
from collabd.device.audit.pace import Taken
from collabd.device.call.dashboard_pictures import DashboardPictures
from collabd.device.call.learned import Learned
from collabd.device.call.outcomes import Outcomes
from collabd.device.core.assembly import Assembly
from collabd.device.core.generation import Machinery
from collabd.device.core.health import device_health
from collabd.device.counters import Counters
from collabd.device.doors.metrics import DoorMetrics
from collabd.device.doors.opening import Doors
from collabd.device.fidelity.ledger import Ledger
from collabd.device.journal import Journal
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.memory.streams import Streams
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.profiler import Profiler
from collabd.device.report.metrics import StatusMetrics
from collabd.device.report.status_line import status_line
from collabd.device.run.compute import Compute, compute_on
from collabd.engine import Engine, session_bytes
from collabd.health.tracker import HealthTracker
from collabd.health.watch import USUAL_PACE, HealthPace
from collabd.http.parameters import EXTENSIONS
from collabd.http.protocol import InferenceProtocol
from collabd.http.refused_extensions import SHARED_MEMORY
from collabd.http.repository import EXTENSION as REPOSITORY
from collabd.http.server import http_runner
from collabd.lifecycle import Step, background, do_without, serve_until_stopped, started
from collabd.limits.cores import usable_cores
from collabd.providers.choice import Providers
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.sensed_machine import THIS_MACHINE, SensedMachine
from collabd.shipped_packages import how_to_add
from collabd.systemd.notify import notify
from collabd.systemd.reload import merge

log = logging.getLogger(__name__)

PROGRAM = "collabd"
# In effect only after a restart: the socket is bound, the sessions are built, the packages are loaded.
_FIXED = ("server", "models.roots", "engine", "state_dir", "doors")
# systemd kills after 20 s. Calls have the first, and what else is under way then twice the second: aiohttp waits,
# cancels and waits again.
_DRAIN_S = 10.0
_CONTROL_S = 4.0
# Callers are on this machine, and may leave tensors in its memory.
_SHARED = partial(wire.decode_request, shared=True)


async def serve(loaded: Loaded[DeviceConfig], read: Callable[[], Loaded[DeviceConfig]]) -> None:
    """Run until SIGTERM or SIGINT; then answer what is in flight, and stop. `read` is for SIGHUP."""
    async with running(loaded) as daemon:
        await serve_until_stopped([daemon.worker], daemon.status, read=read, apply=daemon.reconfigure)


@asynccontextmanager
async def running(
    loaded: Loaded[DeviceConfig],
    machine: SensedMachine = THIS_MACHINE,
    *,
    peers: LocalPeers = LOCAL_PEERS,
    thread_of: Callable[[], ComputeThread] = ComputeThread,
    speed_of: Callable[[], SpeedFactor] = SpeedFactor,
    compute_of: Callable[[Engine], Compute] = compute_on,
    health: HealthPace = USUAL_PACE,
) -> AsyncIterator[DeviceDaemon]:
    """The daemon, ready: socket bound, models warm, companions watched. Leaving the context takes it down.

    `thread_of` makes the lane's thread; `speed_of` what is known of its speed before the first call; `compute_of` the
    work that the lane does for calls. `health`: how often it looks after its health.
    """
    daemon = DeviceDaemon(
        loaded,
        machine,
        peers=peers,
        thread_of=thread_of,
        speed_of=speed_of,
        compute_of=compute_of,
        health=health,
    )
    async with started(daemon.steps):
        yield daemon


class DeviceDaemon:
    """The parts of the daemon. Each of `steps` starts some of them, and makes what needs those before.

    Its sensors look at `machine`, its socket is for `peers`.
    """

    door: DeviceDoor
    _plane: DeviceDataPlane
    _listener: socket.socket

    @property
    def steps(self) -> Sequence[Step]:
        """How it starts, in order."""
        return (
            ("open the socket", self._open_socket),
            ("hold the compute thread", self._hold_thread),
            ("load the models", self._load_models),
            ("profile the models", self._profile_models),
            ("watch the companions and the machine", self._watch),
            ("answer calls", self._answer),
            ("open the doors", self._open_doors),
            ("watch the health", self._watch_health),
        )

    def __init__(
        self,
        loaded: Loaded[DeviceConfig],
        machine: SensedMachine,
        *,
        peers: LocalPeers,
        thread_of: Callable[[], ComputeThread],
        speed_of: Callable[[], SpeedFactor],
        compute_of: Callable[[Engine], Compute],
        health: HealthPace,
    ) -> None:
        config = loaded.config
        self._loaded = loaded
        self._peers = peers
        threads = config.engine.threads or usable_cores()
        engine = Engine(threads=threads, cache_bytes=session_bytes(config.engine.cache_mb))
        thread = thread_of()
        lane = Lane(thread)
        self.worker = thread.worker
        providers = Providers(config.engine.providers, threads=threads)
        store = Store(model_roots(config, PROGRAM))
        models = LoadedModels(store, engine, lane, settings=config.models, providers=providers)
        clock = MONOTONIC
        learned, counters, journal = Learned(speed_of(), clock=clock), Counters(), Journal()
        self.machinery = Machinery(
            lane=lane,
            engine=engine,
            compute=compute_of(engine),
            models=models,
            learned=learned,
            counters=counters,
            journal=journal,
            outcomes=Outcomes(learned, counters, journal),
            streams=Streams(),
            ledger=Ledger(state_dir(config, PROGRAM) / "fidelity", clock=clock),
            audits=Taken(),
            health=HealthTracker(health.clock),
            clock=clock,
            started=clock(),
            shown=DashboardPictures(clock) if any(door.pictures for door in config.doors) else None,
        )
        self._assembly = Assembly(self.machinery, machine)
        self._doors = Doors(retry_s=health.often_s)
        self._health = device_health(
            self.machinery,
            lambda: self._plane.generation,
            doors=self._doors.seen,
            providers=providers,
            root=machine.root,
            state=state_dir(config, PROGRAM),
            pace=health,
        )
        counters.beside(StatusMetrics(self._report))
        counters.beside(DoorMetrics(self._doors.report))

    def status(self) -> str:
        """One line; looked at every 5 s, so this is also where throttling is noticed."""
        generation = self._plane.generation
        self.machinery.journal.sensed(generation.senses.snapshot.throttling)
        return status_line(generation.reporter.status())

    def _report(self) -> StatusReport:
        return self._plane.generation.reporter.status()

    def _metrics(self) -> bytes:
        self.machinery.outcomes.take_in()
        return self.machinery.counters.metrics()

    async def reconfigure(self, loaded: Loaded[DeviceConfig]) -> None:
        """Let new calls go by another configuration; those of the old one end by it, however long they take."""
        before = self._plane.generation
        loaded = merge(before.loaded, loaded, _FIXED)
        self._plane.generation = await self._assembly.generation(loaded, before)
        self.machinery.models.use(loaded.config.models)
        self._doors.renew()
        self._assembly.retire(before)

    @asynccontextmanager
    async def _open_socket(self) -> AsyncIterator[None]:
        with closing(open_socket(self._loaded.config.server.socket)) as self._listener:
            yield

    @asynccontextmanager
    async def _hold_thread(self) -> AsyncIterator[None]:
        with closing(self.machinery.lane):
            yield

    @asynccontextmanager
    async def _load_models(self) -> AsyncIterator[None]:
        notify("STATUS=loading the models")
        await self.machinery.models.load_all()
        yield

    @asynccontextmanager
    async def _profile_models(self) -> AsyncIterator[None]:
        directory = state_dir(self._loaded.config, PROGRAM) / "profiles"
        machinery, threads = self.machinery, self._loaded.config.engine.threads
        profiler = Profiler(machinery.models, machinery.engine, machinery.lane, threads=threads, directory=directory)
        await profiler.load_stored()
        async with background("profiling", profiler.run, do_without):
            yield

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[None]:
        try:
            self._plane = DeviceDataPlane(await self._assembly.generation(self._loaded), self.machinery.models)
            yield
        finally:
            await self._assembly.close()
            self.machinery.ledger.save()

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[None]:
        server, machinery = self._loaded.config.server, self.machinery
        most = server.max_request_mb * 2**20
        memory = SharedMemory(most)
        self.door = DeviceDoor(
            self._plane,
            _limits(server),
            memory=memory,
            max_request_bytes=most,
            counters=machinery.counters,
            clock=machinery.clock,
            user_of=self._peers.user_of,
        )
        inference = InferenceProtocol(
            self._plane,
            most,
            door=self.door,
            pace=self._peers.body_pace,
            decode=_SHARED,
            extensions=(*EXTENSIONS, SHARED_MEMORY, REPOSITORY),
        )
        app, faster = application(
            inference,
            DeviceRoutes(self._plane, machinery.models, self._doors.report),
            SharedMemoryRoutes(memory, self._peers.user_of),
            metrics=self._metrics,
            administrators=server.administrators,
        )
        with closing(memory), closing(self.door):
            async with http_runner(
                app,
                _CONTROL_S,
                guard=faster,
                plain_answer=inference.plainly(self.door.visit),
                limits=self._peers.connections,
            ) as runner:
                # As long as it may be: where it is full, a caller is refused at once.
                site = web.SockSite(runner, self._listener, backlog=socket.SOMAXCONN)
                await site.start()
                try:
                    _tell_what_is_loaded(self._plane.models())
                    yield
                finally:
                    # New connections wait in the socket for the next daemon.
                    await site.stop()
                    await self.door.shut(_DRAIN_S)
                    machinery.outcomes.take_in()

    @asynccontextmanager
    async def _open_doors(self) -> AsyncIterator[None]:
        async with self._doors.opened(
            self._loaded.config.doors,
            admission=self.door,
            plane=self._plane,
            max_request_bytes=self._loaded.config.server.max_request_mb * 2**20,
            metrics=self._metrics,
            clock=self.machinery.clock,
            models=self.machinery.models,
            shown=self.machinery.shown,
            directory=state_dir(self._loaded.config, PROGRAM) / "doors",
        ):
            try:
                yield
            finally:
                if self.machinery.shown is not None:
                    await self.machinery.shown.close()

    @asynccontextmanager
    async def _watch_health(self) -> AsyncIterator[None]:
        async with background("watching the health", self._health.run, do_without):
            yield


def _tell_what_is_loaded(models: Sequence[str]) -> None:
    if models:
        log.info("ready: %s", ", ".join(models))
    else:
        log.warning("ready, without a model; %s", how_to_add())


def _limits(server: DeviceServerSettings) -> AdmissionLimits:
    """Beside one user's share there is room for the largest request of another."""
    each = max(server.max_inside_mb, server.max_request_mb) * 2**20
    return AdmissionLimits(
        places=server.max_inside,
        bytes_each=each,
        most_bytes=each + server.max_request_mb * 2**20,
        waiting=server.max_waiting,
    )
