"""What both daemons do around their own work: read the configuration, serve until stopped, keep tasks running."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import click

from collabd import config
from collabd.heap import steady_heap
from collabd.keys.files import KeyProblem
from collabd.resting import tidy_when_quiet
from collabd.systemd.journal import set_up_logging
from collabd.systemd.notify import keep_status, ready
from collabd.systemd.reload import EarlyHangup, reload_at_hangup
from collabd.systemd.watchdog import watchdog
from collabd.worker import Worker

log = logging.getLogger(__name__)

# What is done to start, by name. Leaving the context undoes it.
Step: TypeAlias = tuple[str, Callable[[], AbstractAsyncContextManager[None]]]

EX_CONFIG = 78
# Pauses before a background task that failed is started again. After a run of `_WELL_S` it counts as well again.
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
    """Set up logging and load the configuration.

    With `check` it then exits with status 0. If the configuration is bad, it calls `refused` and exits with status 78.
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
    """Run the daemon's coroutine to its end. If the daemon cannot start, say why in one line and exit with a status."""
    import uvloop  # noqa: PLC0415  not before the configuration is known to be good

    # At the watchdog's SIGABRT, the journal gets the place where each thread was stuck.
    faulthandler.enable()
    signal.signal(signal.SIGHUP, EarlyHangup())
    steady_heap()
    try:
        uvloop.run(serve())
    except KeyProblem as problem:
        click.echo(f"{program} cannot start: {_told(problem)}", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:
        click.echo(f"{program} cannot start: {_told(error)}", err=True)
        sys.exit(1)


def _told(error: Exception) -> str:
    """What happened, and in which step of the start."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


@asynccontextmanager
async def started(steps: Sequence[Step]) -> AsyncIterator[None]:
    """Around a running daemon: the steps are done in order, and undone in reverse. The error of a step names it."""
    async with AsyncExitStack() as undo:
        for name, step in steps:
            log.debug("start: %s", name)
            try:
                await undo.enter_async_context(step())
            except Exception as error:
                error.add_note(f"the step that failed: {name}")
                raise
            # Called before the step is undone.
            undo.callback(log.debug, "stop: %s", name)
        yield


async def serve_until_stopped(
    workers: Sequence[Worker],
    status: Callable[[], str],
    *,
    read: Callable[[], config.Loaded[config.Config]],
    apply: Callable[[config.Loaded[config.Config]], Awaitable[None]],
    part: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Return at SIGTERM or SIGINT, and after `part`. Until then the service manager is told that the daemon is ready.

    It is also told what `status` says, and that all `workers` make progress. At SIGHUP the configuration is `read` and
    given to `apply`.
    """
    steps: tuple[Step, ...] = (
        ("keep the memory small", lambda: background("tidying", tidy_when_quiet, do_without)),
        ("keep the status line", lambda: background("the status line", partial(keep_status, status), do_without)),
        ("ping the watchdog", lambda: background("the watchdog", partial(watchdog, workers))),
        ("reload at a hangup", lambda: background("reloading", partial(reload_at_hangup, read, apply))),
        # Last: then systemd starts what needs it, and reloads it.
        ("say that it is ready", ready),
    )
    # Before systemd hears of it: from then on it may stop the daemon.
    stop = _stop_signal()
    async with started(steps):
        await stop.wait()
        if part is not None:
            await part()


def _stop_signal() -> asyncio.Event:
    """Set at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def end_daemon(_: Exception) -> None:
    """End the process after a failure of what the daemon needs, so that the service manager starts it again."""
    raise SystemExit(1)


def do_without(_: Exception) -> None:
    """Go on after a failure of what the daemon can do without."""


@asynccontextmanager
async def background(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    give_up: Callable[[Exception], None] = end_daemon,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Run `work` while the context lasts. If it fails, start it again after a pause, which doubles with each failure.

    Each failure is logged under `name`. After too many in a row, `give_up` is called with the last one.
    """
    task = asyncio.create_task(_supervised(name, work, give_up=give_up, clock=clock, sleep=sleep))
    try:
        # It has begun before what comes next does.
        await asyncio.sleep(0)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _supervised(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
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
