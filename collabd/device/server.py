"""Start-up and shutdown of the device daemon, as a list of steps undone in reverse."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from collabd.catalog.store import Store
from collabd.config import DeviceConfig, DeviceServer, Loaded, model_roots, state_dir
from collabd.device.admission import Room
from collabd.device.app import Control, application
from collabd.device.assembly import Assembly
from collabd.device.compute import Lane
from collabd.device.core import Machinery
from collabd.device.door import Door
from collabd.device.events import Events
from collabd.device.models import Models
from collabd.device.plane import Plane
from collabd.device.profiler import Profiler
from collabd.device.socket import open_socket
from collabd.device.status_line import status_line
from collabd.engine import Engine
from collabd.front import front
from collabd.lifecycle import background, do_without, serve_until_stopped
from collabd.shipped import how_to_add
from collabd.systemd.notify import notify
from collabd.systemd.reload import merge

log = logging.getLogger(__name__)

PROGRAM = "collabd"
# In effect only after a restart: the socket is bound, the sessions are built, the packages are loaded.
_FIXED = ("server", "models.roots", "engine", "emulation", "state_dir")
# systemd kills after 20 s. Calls have the first, and what else is under way then twice the second: aiohttp waits,
# cancels and waits again.
_DRAIN_S = 10.0
_CONTROL_S = 4.0


class Daemon:
    """The daemon while it runs."""

    def __init__(self, machinery: Machinery, assembly: Assembly, plane: Plane, events: Events, door: Door) -> None:
        self.machinery = machinery
        self.door = door
        self._assembly = assembly
        self._plane = plane
        self._events = events

    async def reconfigure(self, loaded: Loaded[DeviceConfig]) -> None:
        """Let new calls go by another configuration; those of the old one end by it, however long they take."""
        before = self._plane.core
        loaded = merge(before.loaded, loaded, _FIXED)
        self._plane.core = await self._assembly.core(loaded, before)
        self.machinery.models.default = loaded.config.models.default
        self._assembly.retire(before)

    def status(self) -> str:
        """One line; looked at each second, so this is also where throttling is noticed."""
        core = self._plane.core
        self._events.sensed(core.senses.snapshot.throttling)
        return status_line(core.reporter.status())


async def serve(loaded: Loaded[DeviceConfig], read: Callable[[], Loaded[DeviceConfig]]) -> None:
    """Run until SIGTERM or SIGINT; then answer what is in flight, and stop. `read` is for SIGHUP."""
    async with running(loaded) as daemon:
        await serve_until_stopped(daemon.machinery.lane.worker, daemon.status, read, daemon.reconfigure)


@asynccontextmanager
async def running(loaded: Loaded[DeviceConfig], root: Path = Path("/")) -> AsyncIterator[Daemon]:
    """The daemon, ready: socket bound, models warm, companions watched. Left in reverse.

    `root` is where its sensors find /proc and /sys.
    """
    config = loaded.config
    async with AsyncExitStack() as stack:
        listener = open_socket(config.server.socket)
        stack.callback(listener.close)
        lane = Lane(config.emulation.device_slowdown)
        stack.callback(lane.close)
        threads = config.engine.threads or os.cpu_count() or 1
        engine = Engine(threads=threads, cache_bytes=config.engine.cache_mb * 2**20)
        models = Models(Store(model_roots(config, PROGRAM)), engine, lane, config.models.default)
        notify("STATUS=loading the models")
        await models.load_all()
        profiler = Profiler(models, threads, lane, config.emulation, state_dir(config, PROGRAM) / "profiles")
        profiler.load_stored()
        await stack.enter_async_context(background("profiling", profiler.run, do_without))
        machinery = Machinery(lane, engine, models)
        assembly = Assembly(machinery, root)
        stack.push_async_callback(assembly.close)
        events = Events()
        plane = Plane(await assembly.core(loaded), events)
        most = config.server.max_request_mb * 2**20
        door = Door(plane, _room(config.server), most, machinery.counters)
        stack.callback(door.close)
        app = application(plane, Control(plane, models), door, most, config.server.administrators)
        await stack.enter_async_context(_listening(app, listener, door))
        _tell_what_is_loaded(plane.models())
        yield Daemon(machinery, assembly, plane, events, door)


@asynccontextmanager
async def _listening(app: web.Application, listener: socket.socket, door: Door) -> AsyncIterator[None]:
    async with front(app, _CONTROL_S) as runner:
        # As long as it may be: where it is full, a caller is refused at once.
        site = web.SockSite(runner, listener, backlog=socket.SOMAXCONN)
        await site.start()
        try:
            yield
        finally:
            # New connections wait in the socket for the next daemon.
            await site.stop()
            await door.shut(_DRAIN_S)


def _tell_what_is_loaded(models: Sequence[str]) -> None:
    if models:
        log.info("ready: %s", ", ".join(models))
    else:
        log.warning("ready, without a model; %s", how_to_add())


def _room(server: DeviceServer) -> Room:
    """Beside one user's share there is room for the largest request of another."""
    each = max(server.max_inside_mb, server.max_request_mb) * 2**20
    return Room(server.max_inside, each, each + server.max_request_mb * 2**20, server.max_waiting)
