"""What both daemons do from start to end besides their own work: read the configuration, tell systemd, stop well."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import sdnotify

from collabd import config

log = logging.getLogger(__name__)

EX_CONFIG = 78


def start(kind: type[config.Config], path: Path | None, default: Path, verbose: bool) -> config.Loaded[config.Config]:
    """Set up logging and load the configuration at `path`, else at `default` if there is one; exits 78 if it is bad."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if path is None and default.exists():
        path = default
    try:
        return config.load(kind, path)
    except config.ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_CONFIG)


def run(program: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the daemon's coroutine to its end; what keeps it from starting becomes one line and exit status 1."""
    import uvloop  # noqa: PLC0415  not before the configuration is known to be good

    try:
        uvloop.run(serve())
    except OSError as error:
        click.echo(f"{program} cannot start: {error}", err=True)
        sys.exit(1)


async def stop_signal() -> None:
    """Return at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


@asynccontextmanager
async def service_manager() -> AsyncIterator[None]:
    """Tell systemd that the daemon is ready, and on leaving that it stops."""
    _notify("READY=1")
    try:
        yield
    finally:
        _notify("STOPPING=1")


def _notify(state: str) -> None:
    if "NOTIFY_SOCKET" in os.environ:
        sdnotify.SystemdNotifier().notify(state)


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task that ends with the daemon; should it die before, the journal says so."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report_death)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a background task died", exc_info=task.exception())
