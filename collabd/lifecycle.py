"""What both daemons do from start to end besides their own work: read the configuration, serve, stop well."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import click

from collabd import config
from collabd.keys.files import KeyProblem
from collabd.systemd.journal import set_up_logging
from collabd.systemd.notify import keep_status, ready
from collabd.systemd.reload import reload_at_hangup
from collabd.systemd.watchdog import Worker, watchdog

log = logging.getLogger(__name__)

EX_CONFIG = 78


def start(
    program: str, source: config.Source[config.Config], *, verbose: bool, check: bool
) -> config.Loaded[config.Config]:
    """Set up logging and load the configuration; exits 78 if it is bad, and 0 if no more than a check was wanted."""
    set_up_logging(program, logging.DEBUG if verbose else logging.INFO)
    try:
        loaded = source.load()
    except config.ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_CONFIG)
    if check:
        click.echo(f"{loaded.path or 'the default configuration'}: no mistakes")
        sys.exit(0)
    return loaded


def run(program: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the daemon's coroutine to its end; what keeps it from starting becomes one line and exit status 1."""
    import uvloop  # noqa: PLC0415  not before the configuration is known to be good

    # The watchdog's SIGABRT leaves in the journal where each thread was stuck.
    faulthandler.enable()
    # Until there is something to reload: SIGHUP would end the process, and look like a wanted end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        uvloop.run(serve())
    except KeyProblem as problem:
        click.echo(f"{program} cannot start: {problem}", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:
        click.echo(f"{program} cannot start: {error}", err=True)
        sys.exit(1)


async def serve_until_stopped(
    worker: Worker,
    status: Callable[[], str],
    read: Callable[[], config.Loaded[config.Config]],
    apply: Callable[[config.Loaded[config.Config]], Awaitable[None]],
) -> None:
    """Return at SIGTERM or SIGINT; until then be ready, as the service manager sees it.

    It is told what `status` says and that `worker` gets on. At SIGHUP the configuration is `read` and given to `apply`.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(ready())
        for task in (keep_status(status), watchdog(worker), reload_at_hangup(read, apply)):
            await stack.enter_async_context(background(task))
        await _stop_signal()


async def _stop_signal() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


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
