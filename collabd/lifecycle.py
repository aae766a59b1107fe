"""What both daemons do from start to end besides their own work: read the configuration, serve, stop well."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
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
# Before a background task that failed is begun anew. One that has run for so long since was well again.
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_WELL_S = 300.0


def start(
    program: str,
    source: config.Source[config.Config],
    *,
    verbose: bool,
    check: bool,
    refused: Callable[[], None] = lambda: None,
) -> config.Loaded[config.Config]:
    """Set up logging and load the configuration; exits 0 if no more than a check was wanted.

    If the configuration is bad, it calls `refused` and exits 78.
    """
    set_up_logging(program, logging.DEBUG if verbose else logging.INFO)
    try:
        loaded = source.load()
    except config.ConfigError as error:
        click.echo(str(error), err=True)
        refused()
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
        await stack.enter_async_context(background("the status line", partial(keep_status, status), do_without))
        await stack.enter_async_context(background("the watchdog", partial(watchdog, worker)))
        await stack.enter_async_context(background("reloading", partial(reload_at_hangup, read, apply)))
        await _stop_signal()


async def _stop_signal() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def end_daemon(_: Exception) -> None:
    """What the daemon cannot do without has failed for good: end, so that the service manager starts another."""
    raise SystemExit(1)


def do_without(_: Exception) -> None:
    """The daemon serves calls without it."""


@asynccontextmanager
async def background(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    give_up: Callable[[Exception], None] = end_daemon,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Run `work` beside the body; when it fails, begin it anew after a pause that doubles with each failure in a row.

    The journal hears of each. `give_up` is called with the failure that is one too many. `name`: what the work is.
    """
    task = asyncio.create_task(_supervised(name, work, give_up, clock, sleep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _supervised(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    give_up: Callable[[Exception], None],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    failures = 0
    while True:
        began = clock()
        try:
            return await work()
        except Exception as error:
            failures = 1 if clock() - began > _WELL_S else failures + 1
            if failures > len(_PAUSES_S):
                log.critical("%s failed %d times in a row and is not started again", name, failures, exc_info=error)
                return give_up(error)
            log.exception("%s failed, and starts again in %.0f s", name, _PAUSES_S[failures - 1])
        await sleep(_PAUSES_S[failures - 1])
