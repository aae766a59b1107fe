"""Start-up and shutdown of the device daemon, as a list of steps undone in reverse."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp import web

from collabd.catalog.store import Store
from collabd.config import DeviceConfig, Loaded, model_roots, state_dir
from collabd.device.app import Control, application
from collabd.device.companion import Companion
from collabd.device.compute import Lane
from collabd.device.dispatcher import Dispatcher
from collabd.device.executor import Executor
from collabd.device.models import Models
from collabd.device.planner import Planner
from collabd.device.profiler import Profiler
from collabd.device.reports import Reporter
from collabd.device.senses import Senses
from collabd.device.socket import open_socket
from collabd.device.watcher import Watcher
from collabd.engine import Engine
from collabd.lifecycle import background, service_manager, stop_signal

log = logging.getLogger(__name__)

PROGRAM = "collabd"
_DRAIN_S = 10.0


async def serve(loaded: Loaded[DeviceConfig]) -> None:
    """Run until SIGTERM or SIGINT; then answer what is in flight, and stop."""
    async with running(loaded), service_manager():
        await stop_signal()


@asynccontextmanager
async def running(loaded: Loaded[DeviceConfig]) -> AsyncIterator[Dispatcher]:
    """The daemon, ready: socket bound, models warm, companions watched. Left in reverse."""
    config = loaded.config
    state = state_dir(config, PROGRAM)
    async with AsyncExitStack() as stack:
        listener = open_socket(config.server.socket)
        stack.callback(listener.close)
        lane = Lane(config.emulation.device_slowdown)
        stack.callback(lane.close)
        threads = config.engine.threads or os.cpu_count() or 1
        engine = Engine(threads=threads, cache_bytes=config.engine.cache_mb * 2**20)
        models = Models(Store(model_roots(config, PROGRAM)), engine, lane, config.models.default)
        await models.load_all()
        session = await stack.enter_async_context(_http(config))
        companions = [Companion(cloud, config.link, config.failover, session) for cloud in config.clouds]
        senses = Senses(config.energy)
        planner = Planner(config, companions, senses)
        executor = Executor(
            engine,
            lane,
            patience=config.failover.patience,
            patience_floor_s=config.failover.patience_floor_ms / 1e3,
        )
        dispatcher = Dispatcher(config, models, planner, executor)
        profiler = Profiler(models, threads, lane, config.emulation, state / "profiles")
        profiler.load_stored()
        reporter = Reporter(config, models, planner, companions, engine, dispatcher, senses)
        watchers = [Watcher(companion, config.link, models.packages) for companion in companions]
        for task in (senses.run(), profiler.run(), *(watcher.run() for watcher in watchers)):
            await stack.enter_async_context(background(task))
        control = Control(loaded, models, reporter)
        await stack.enter_async_context(
            _listening(application(dispatcher, control, config.server.max_request_mb * 2**20), listener)
        )
        dispatcher.is_ready = True
        log.info("ready: %s", ", ".join(dispatcher.models()) or "no models")
        yield dispatcher


def _http(config: DeviceConfig) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.failover.connect_timeout_s)
    # Connections outlive the pauses between calls: a new one costs a round trip.
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(keepalive_timeout=60))


@asynccontextmanager
async def _listening(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
