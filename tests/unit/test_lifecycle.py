"""Steps of a start, and background tasks: begun anew after growing pauses when they fail, and given up in the end.

No test waits for a pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from collabd.lifecycle import Step, background, started
from tests.patience import PATIENCE_S


class Time:
    """A clock that only sleeping moves, and the work itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class Work:
    """Fails so many times, each after `lasting` seconds of the clock; then it goes on for ever."""

    def __init__(self, time: Time, failures: int, lasting: Callable[[int], float] = lambda _: 0.0) -> None:
        self.time, self.failures, self.lasting = time, failures, lasting
        self.begun = 0
        self.well = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.begun <= self.failures:
            self.time.now += self.lasting(self.begun)
            raise OSError(f"failure {self.begun}")
        self.well.set()
        await asyncio.Event().wait()


async def ended(work: Work, time: Time) -> list[Exception]:
    """What it was given up for, if it was."""
    given_up: list[Exception] = []
    over = asyncio.Event()

    def give_up(error: Exception) -> None:
        given_up.append(error)
        over.set()

    async with asyncio.timeout(PATIENCE_S), background("work", work.run, give_up, clock=time.clock, sleep=time.sleep):
        waits = [asyncio.create_task(event.wait()) for event in (over, work.well)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    return given_up


async def test_what_fails_is_begun_anew_after_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    work = Work(time, failures=4)
    with caplog.at_level(logging.ERROR):
        assert await ended(work, time) == []
    assert (work.begun, time.slept) == (5, [1.0, 2.0, 4.0, 8.0])
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
    assert "OSError: failure 4" in caplog.text


async def test_what_fails_again_and_again_is_given_up_loudly(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    work = Work(time, failures=1000)
    with caplog.at_level(logging.ERROR):
        (error,) = await ended(work, time)
    assert str(error) == f"failure {work.begun}"
    assert sum(time.slept) == 127.0
    assert caplog.records[-1].levelname == "CRITICAL"
    assert "work failed 8 times in a row and is not started again" in caplog.text


async def test_what_was_well_for_a_while_fails_for_the_first_time_again() -> None:
    time = Time()
    work = Work(time, failures=40, lasting=lambda begun: 1000.0 if begun % 4 == 0 else 0.0)
    assert await ended(work, time) == []
    assert time.slept[:8] == [1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 8.0, 1.0]


async def test_work_that_is_done_is_not_begun_anew() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1

    async with background("work", work):
        await asyncio.sleep(0.01)
    assert begun == 1


async def test_what_is_stopped_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    work = Work(time, failures=0)
    assert await ended(work, time) == []
    assert caplog.text == ""


def test_the_daemon_ends_with_a_failure_where_it_cannot_do_without() -> None:
    time, undone = Time(), []

    async def daemon() -> None:
        try:
            async with background("work", Work(time, failures=1000).run, clock=time.clock, sleep=time.sleep):
                await asyncio.Event().wait()
        finally:
            undone.append("the rest")

    with pytest.raises(SystemExit) as left:
        asyncio.run(daemon())
    assert left.value.code == 1
    assert undone == ["the rest"]


class Steps:
    """Steps of these names, and what happened. One whose name is "broken" cannot be done."""

    def __init__(self, *names: str) -> None:
        self.happened: list[str] = []
        self.steps: list[Step] = [(name, partial(self._step, name)) for name in names]

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[None]:
        if name == "broken":
            raise OSError("no room")
        self.happened.append(f"do {name}")
        try:
            yield
        finally:
            self.happened.append(f"undo {name}")


async def test_steps_are_done_in_order_and_undone_in_reverse(caplog: pytest.LogCaptureFixture) -> None:
    made = Steps("socket", "models")
    with caplog.at_level(logging.DEBUG):
        async with started(made.steps):
            assert made.happened == ["do socket", "do models"]
    assert made.happened[2:] == ["undo models", "undo socket"]
    assert caplog.messages == ["start: socket", "start: models", "stop: models", "stop: socket"]


async def test_the_error_of_a_step_names_it_and_what_was_done_is_undone() -> None:
    made = Steps("socket", "broken", "models")
    with pytest.raises(OSError, match="no room") as raised:
        async with started(made.steps):
            pytest.fail("a step failed")
    assert raised.value.__notes__ == ["the step that failed: broken"]
    assert made.happened == ["do socket", "undo socket"]


async def test_an_error_while_the_daemon_runs_is_no_step_that_failed() -> None:
    with pytest.raises(OSError, match="while it runs") as raised:
        async with started(Steps("socket").steps):
            raise OSError("while it runs")
    assert not hasattr(raised.value, "__notes__")
