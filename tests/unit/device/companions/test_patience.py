"""How long the device waits for another machine: by the time in which it could have seen an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from collabd.device.companions.patience import Patience

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """On each kind of event loop: they differ in whether a timer or what has arrived comes first."""
    return request.param  # type: ignore[no-any-return]


def test_what_never_comes_is_waited_for_as_long_as_was_said(run: Run) -> None:
    async def wait() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with Patience(0.2):
                await asyncio.Event().wait()
        assert time.monotonic() - began >= 0.2

    run(wait())


def test_what_had_arrived_while_the_process_stood_still_is_in_time(run: Run) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await answered_while_standing_still(0.5)
        async with Patience(0.2):
            await answered_while_standing_still(0.5)

    run(wait())


async def answered_while_standing_still(seconds: float) -> None:
    answered = asyncio.Event()
    # Behind the next round of the loop, as an answer is that has to be read first.
    asyncio.get_running_loop().call_soon(time.sleep, seconds)
    asyncio.get_running_loop().call_later(0.05, answered.set)
    await answered.wait()
    await asyncio.sleep(0.01)


def test_who_is_called_off_meanwhile_is_not_late(run: Run) -> None:
    async def wait() -> None:
        async def patient() -> None:
            async with Patience(60.0):
                await asyncio.Event().wait()

        task = asyncio.create_task(patient())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(wait())


def test_other_errors_pass_through_it(run: Run) -> None:
    async def wait() -> None:
        with pytest.raises(ZeroDivisionError):
            async with Patience(60.0):
                _ = 1 / 0

    run(wait())
