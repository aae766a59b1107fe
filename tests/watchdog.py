"""A run of the tests ends, whatever hangs: whoever is stuck says where, and ends with an error."""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

# s, for a fixture, a test, or the end of a session. The slowest took 300 on two cores that others used too.
PATIENCE = 900
# s. The stack of an event loop's thread does not tell what a coroutine waits for: it has to fail before.
PATIENCE_WITH_COROUTINES = 600
# s. Builds, and installs from the network.
PATIENCE_TO_PACKAGE = 1800


class Watchdog:
    """Ends its process, with the stacks of all threads on stderr, when none of the events below comes in time.

    Worker, master and a plain run all have one: pytest's `faulthandler_timeout` knows no end of a session, nothing of
    a master whose workers fell silent, and a test that failed is watched no longer.
    """

    def __init__(self) -> None:
        # Not captured yet; open for as long as the process lives.
        self._stderr = os.dup(2)
        self._patience = PATIENCE
        self._stuck_workers: list[str] = []

    def _wait_again(self) -> None:
        faulthandler.dump_traceback_later(self._patience, exit=True, file=self._stderr)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _bounded(item.obj)

    def pytest_sessionstart(self) -> None:
        self._wait_again()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if any(item.get_closest_marker("packaging") for item in session.items):
            self._patience = PATIENCE_TO_PACKAGE
        self._wait_again()

    def pytest_runtest_logstart(self) -> None:
        self._wait_again()

    def pytest_runtest_logreport(self) -> None:
        self._wait_again()

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self) -> None:
        # pytest has just ended all waits: a debugger may follow.
        self._wait_again()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            self._stuck_workers.append(node.gateway.id)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._wait_again()
        # xdist takes a worker that dies behind its last test for one that passed.
        if self._stuck_workers and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        # A worker now waits for the master, which ends it; a master or a plain run still has its threads to end.
        if hasattr(config, "workerinput"):
            faulthandler.cancel_dump_traceback_later()


def _bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The test, which fails if it takes too long, and then tells where each task waits."""

    @functools.wraps(test)
    async def bounded(*given: Any, **named: Any) -> None:
        waiting: list[str] = []
        # Before the bound itself, which cancels what the test waits for.
        look = asyncio.get_running_loop().call_later(
            PATIENCE_WITH_COROUTINES, lambda: waiting.extend(map(_place, asyncio.all_tasks()))
        )
        try:
            async with asyncio.timeout(PATIENCE_WITH_COROUTINES) as bound:
                await test(*given, **named)
        except TimeoutError as error:
            if bound.expired():
                error.add_note("\n".join([f"after {PATIENCE_WITH_COROUTINES} s these tasks waited:", *waiting]))
            raise
        finally:
            look.cancel()

    return bounded


def _place(task: asyncio.Task[Any]) -> str:
    """Where it waits, from the outermost coroutine to the innermost; `Task.get_stack` has the outermost alone."""
    places: list[str] = []
    waits: Any = task.get_coro()
    while (frame := getattr(waits, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})")
        waits = getattr(waits, "cr_await", None)
    return f"{task.get_name()}: {', '.join(places)}"
